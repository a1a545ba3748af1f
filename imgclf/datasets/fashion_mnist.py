"""Fashion-MNIST: 70,000 grey images of clothes, 28x28 pixels, in ten classes.

Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
learning algorithms", 2017, https://arxiv.org/abs/1708.07747
"""

from imgclf.datasets import idx
from imgclf.datasets.dataset import Dataset
from imgclf.datasets.download import DebianPackage, Mirror

DATASET = Dataset(
    classes=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
    files={
        "train-images-idx3-ubyte": (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
        ),
        "train-labels-idx1-ubyte": (
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
        ),
        "t10k-images-idx3-ubyte": (
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
        ),
        "t10k-labels-idx1-ubyte": (
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
        ),
    },
    gzipped=True,
    sources=(
        Mirror("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com"),
        Mirror("https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion"),
        DebianPackage("dataset-fashion-mnist", "usr/share/datasets/fashion-mnist"),
    ),
    parts=idx.read_idx_dataset,
)
