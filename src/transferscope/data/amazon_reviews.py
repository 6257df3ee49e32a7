"""Reviews of four kinds of products at Amazon (Blitzer, Dredze & Pereira 2007), positive or negative, as bags
of words."""

import tarfile
from collections import Counter
from functools import lru_cache
from heapq import nsmallest
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Literal, NamedTuple

import numpy as np
import torch

from transferscope.data.domain import Domain
from transferscope.data.files import official_file
from transferscope.errors import RequestError, nearest

DOMAINS = ("books", "dvd", "electronics", "kitchen")
CLASSES = ("negative", "positive")
ADDRESS = "https://www.cs.jhu.edu/~mdredze/datasets/sentiment/processed_acl.tar.gz"
ARCHIVES = ["amazon_reviews/processed_acl.tar.gz", "amazon_reviews/processed_acl_labelled.tar.gz"]


class Review(NamedTuple):
    item: str  # "negative-0042", by line of its file
    label: str
    words: tuple[str, ...]  # each once: single ones, and pairs joined by "_"
    counts: tuple[int, ...]  # how often each of them occurs


def load(
    name: str,
    data_root: str,
    domain: Literal["books", "dvd", "electronics", "kitchen"],
    *,
    words: int = 5000,
    test_fraction: float = 0.5,
    whole: bool = False,
    download: bool = False,
) -> Domain:
    """inputs float32 [2000, words], how often each word or pair of words occurs; classes negative, positive;
    ids such as "negative-0042".

    The vocabulary is what occurs in the most reviews of all four domains, of equals the first by name: the
    rule of Ganin et al. 2016 (arXiv 1505.07818), read off the order of the columns in their files. It rests
    on inputs alone. Theirs counts the unlabelled reviews too, which are not read here. Reviews that are there
    twice or more within a domain are one group. whole: see Domain.

    Reads `data_root/amazon_reviews/processed_acl.tar.gz`, else `processed_acl_labelled.tar.gz`, the same
    without the unlabelled reviews; neither is unpacked. download: fetch the authors' archive if neither is
    there. Raises RequestError for a missing or damaged archive."""
    if domain not in DOMAINS:
        raise RequestError(f"domain={domain}; allowed: {', '.join(DOMAINS)}{nearest(domain, DOMAINS)}")
    path = official_file(data_root, ARCHIVES, ADDRESS, _fetch if download else None)
    reviews = _read(path, path.stat().st_mtime_ns)
    vocabulary = _vocabulary(path, path.stat().st_mtime_ns, words)
    inputs = np.zeros((len(reviews[domain]), words), dtype=np.float32)
    groups, first = [], {}
    for row, review in zip(inputs, reviews[domain], strict=True):
        for word, count in zip(review.words, review.counts, strict=True):
            if word in vocabulary:
                row[vocabulary[word]] = count
        groups.append(first.setdefault(frozenset(zip(review.words, review.counts, strict=True)), review.item))
    items, labels = zip(*((review.item, review.label) for review in reviews[domain]), strict=True)
    return Domain.build(
        name, torch.from_numpy(inputs), labels, items, test_fraction=test_fraction, groups=groups, whole=whole
    )


def _fetch(folder: Path) -> None:
    from torchvision.datasets.utils import download_url

    download_url(ADDRESS, str(folder / "amazon_reviews"), "processed_acl.tar.gz")


@lru_cache(maxsize=1)
def _read(path: Path, changed: int) -> dict[str, list[Review]]:
    """All four domains, once a process, for each needs the others' words. changed: when the file was, in
    ns."""
    reviews = {}
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                inner = PurePosixPath(member.name)  # processed_acl/books/negative.review
                if (
                    member.isfile()
                    and inner.suffix == ".review"
                    and inner.stem in CLASSES
                    and inner.parts[-3:-2] == ("processed_acl",)
                ):
                    lines = archive.extractfile(member).read().decode().splitlines()
                    reviews[inner.parent.name, inner.stem] = [
                        _review(f"{inner.stem}-{i:04d}", inner.stem, line) for i, line in enumerate(lines)
                    ]
        if absent := [
            f"processed_acl/{d}/{c}.review" for d in DOMAINS for c in CLASSES if not reviews.get((d, c))
        ]:
            raise ValueError(f"no reviews in {absent[0]}")
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        raise RequestError(
            f"{path}: damaged ({error}); delete it and fetch it again from {ADDRESS}"
        ) from error
    return {domain: [review for label in CLASSES for review in reviews[domain, label]] for domain in DOMAINS}


def _review(item: str, label: str, line: str) -> Review:
    """From `word:2 one_pair:1 ... #label#:positive`"""
    *entries, last = line.split(" ")
    if last != f"#label#:{label}" or not entries:
        raise ValueError(f"{item} is no list of word:count that ends in #label#:{label}")
    words, _, counts = zip(*(entry.rpartition(":") for entry in entries), strict=True)
    return Review(item, label, words, tuple(map(int, counts)))


@lru_cache(maxsize=1)
def _vocabulary(path: Path, changed: int, words: int) -> dict[str, int]:
    """The column of each word."""
    frequency = Counter(
        chain.from_iterable(review.words for own in _read(path, changed).values() for review in own)
    )
    if not 1 <= words <= len(frequency):
        raise RequestError(f"words={words}; allowed: 1 to {len(frequency)}, as many as there are in {path}")
    chosen = nsmallest(words, frequency, key=lambda word: (-frequency[word], word))
    return {word: column for column, word in enumerate(chosen)}
