#!/usr/bin/env bash
# The README's two commands in a fresh clone, in either order, on a small configuration: a new
# project with the bundled digits, one model and two epochs. Fails if a command fails, or if
# `make reproduce` changes a tracked file or leaves a new one. Takes a minute or two.
#
#     make two-commands
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH"
export PATH DVC_NO_ANALYTICS=1
environment=$(python -c 'import sys; print(sys.prefix)')
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
for who in AUTHOR COMMITTER; do
  export "GIT_${who}_NAME=Test" "GIT_${who}_EMAIL=test@example.org"
done
# Quick ones that read README.md, params.yaml or results where any do.
tests="tests/test_readme.py tests/imgclf/report/test_model_pages.py tests/bench/test_sections.py"

say() { printf '\n== %s\n' "$*"; }

# Links to an environment that is there, in place of a new one.
reuse_environment() {
  mkdir .venv
  ln -s "$environment"/* .venv/
  rm -f .venv/installed .venv/installed-dev
  touch .venv/installed .venv/installed-dev
}

quick_tests() {
  say "$1: make pytest"
  make --no-print-directory pytest TESTS="$tests"
}

reproduce() {
  say "$1: make reproduce"
  make --no-print-directory reproduce
}

say "a new project, with one model and two epochs"
python -m experiments.new_project "$folder/mine"
cd "$folder/mine"
reuse_environment
sed -i.bak -e 's/^epochs:.*/epochs: 2/' -e 's/^models:.*/models: [fc]/' params.yaml
rm params.yaml.bak
reproduce "new project"
git add --all
git commit --quiet --message "Results"

cd "$folder"
git clone --quiet mine clone
cd clone
reuse_environment
quick_tests "clone, before the other command"
reproduce "clone"
say "clone: git status --porcelain"
changed=$(git status --porcelain)
if [ -n "$changed" ]; then
  printf '%s\nmake reproduce changed what was committed:\n' "$changed" >&2
  git --no-pager diff --stat >&2
  exit 1
fi
quick_tests "clone, after the other command"

say "clone: dvc exp run -S lr=0.0016"
dvc exp run -S lr=0.0016
quick_tests "clone, after an experiment"
say "both commands work, in either order"
