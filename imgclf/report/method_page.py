"""The page on how results are compared: what is corrected, and what is not."""

METHOD = """# How results are compared

[All results](../results.md)

**Reproduced.** A published figure is reproduced if it is inside the 95 % prediction interval of one
new run of ours: mean ± t · deviation · √(1 + 1/n) over n seeds. Accuracies are kept between 0 and
100 %; intervals of losses are computed from their logarithms and widened by the rounding of the
published figure. A row is reproduced if all that was published of it is: accuracy and, where there
is one, training loss of the last epoch. A row of five or more runs has its own deviation. With
fewer, the deviation is pooled over the values of the study, or over all configurations of the same
model if the study has fewer than four degrees of freedom: two seeds alone would give intervals from
minus infinity, nearly. In every figure of a study, the bars are this interval, and nothing else.

**Bias.** Over all rows: the sign test and Wilcoxon's signed-rank test of ours less published, for
accuracies, and for the training losses of the first and of the last epoch (relative). A published
figure that stands in several tables counts once. Rows share our runs where they are of the same
configuration, so these tests are a little too strict.

**Differences of two values.** Seeds and test images both count, by the two-way random-effects model
with crossed seeds and images: variance = seeds / n + images / N - rest / (n N), with
Satterthwaite's degrees of freedom. Of one seed, the part of the images is McNemar's. Seeds are
paired where they share initial weights and the order of the images: the same seed, network and
number of parameters. Otherwise the seeds' part is Welch's; if one of the two values has a single
run, it is the pooled deviation. Five seeds are few to know a variance from, so the seeds' variances
of all pairs of a study are moderated together (Smyth 2004, as in limma): as far as they are alike,
each is drawn to their common value and gains degrees of freedom; as far as they are not, each keeps
its own. Training losses and times do not depend on the test images: they are compared by seeds
alone, as logarithms.

**Verdicts.**

- *holds*, *does not hold*: the difference has a p below 0.05 after Holm's correction over **all
  pairs of values of the study**, in the direction stated or in the other one. Of values of two
  studies, the pairs of the statement are corrected together.
- *no difference above 0.5 points*: two one-sided tests, each at 5 %, show that the accuracies are
  less than 0.5 points apart. These tests are **not** corrected.
- *cannot be told yet: N more seeds would tell*: neither. N is by a power calculation: with so many
  more seeds of each value, a difference as large as found would be seen, or shown to be below 0.5
  points, with a chance of 80 %, at the strictest level of Holm's correction. The part of the test
  images does not fall with seeds, so sometimes no number of seeds is enough; of single runs that
  part is not known, and N is the least.
- *not run yet*: values of the statement have no runs.

A statement of several parts holds in so many of them; if none holds and one is refuted, it does not
hold. "Rises" means that the last value is above the first and that no step goes down. Statements
are held against runs by the published protocol; where there are none, against runs with validation
images, and that is said.

**What is compared.** Rows of a study are compared with the value that validation chose, or with the
base case where there is no validation: never with the best by test accuracy. Models are ranked by
validation accuracy.

**Not corrected**: the 95 % intervals beside differences, equivalence tests, the prediction
intervals of rows (of 40 correct rows, two are expected outside), and McNemar's tests of
single models.
"""
