"""Reviews of four kinds of products at Amazon (Blitzer, Dredze & Pereira 2007), positive or negative, as
text."""

import re
import tarfile
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Literal

from transferscope.data.amazon_reviews import CLASSES, DOMAINS
from transferscope.data.domain import Domain
from transferscope.data.files import official_file
from transferscope.data.texts import Texts
from transferscope.errors import RequestError, nearest

ADDRESS = "https://www.cs.jhu.edu/~mdredze/datasets/sentiment/domain_sentiment_data.tar.gz"
ARCHIVES = ["amazon_reviews/domain_sentiment_data.tar.gz", "amazon_reviews/raw_reviews_labelled.tar.gz"]
FOLDERS = {"kitchen_&_housewares": "kitchen"}  # as the authors call it
EACH = 1000  # reviews of a class
RATINGS = {"negative": ("1.0", "2.0"), "positive": ("4.0", "5.0")}


def load(
    name: str,
    data_root: str,
    domain: Literal["books", "dvd", "electronics", "kitchen"],
    *,
    test_fraction: float = 0.5,
    whole: bool = False,
    download: bool = False,
) -> Domain:
    """inputs Texts [2000], a review's title, a new line and what it says; classes negative, positive; ids
    such as "negative-0042", those that the same review has as a bag of words (amazon_reviews.py).

    Reviews that are there twice or more within a domain are one group. whole: see Domain.

    Reads `data_root/amazon_reviews/domain_sentiment_data.tar.gz`, else `raw_reviews_labelled.tar.gz`, the
    same without the unlabelled reviews; neither is unpacked. download: fetch the authors' archive if neither
    is there. Raises RequestError for a missing or damaged archive, and for one of more or fewer reviews."""
    if domain not in DOMAINS:
        raise RequestError(f"domain={domain}; allowed: {', '.join(DOMAINS)}{nearest(domain, DOMAINS)}")
    path = official_file(data_root, ARCHIVES, ADDRESS, _fetch if download else None)
    reviews = _read(path, path.stat().st_mtime_ns)
    ids, labels, texts = [], [], []
    for label in CLASSES:
        for number, text in enumerate(reviews[domain, label]):
            ids.append(f"{label}-{number:04d}")
            labels.append(label)
            texts.append(text)
    first: dict[str, str] = {}
    groups = [first.setdefault(text, item) for text, item in zip(texts, ids, strict=True)]
    inputs = Texts.of([(text,) for text in texts])
    return Domain.build(name, inputs, labels, ids, test_fraction=test_fraction, groups=groups, whole=whole)


def _fetch(folder: Path) -> None:
    from torchvision.datasets.utils import download_url

    download_url(ADDRESS, str(folder / "amazon_reviews"), "domain_sentiment_data.tar.gz")


@lru_cache(maxsize=1)
def _read(path: Path, changed: int) -> dict[tuple[str, str], list[str]]:
    """The texts of every domain and class. changed: when the file was, in ns."""
    reviews: dict[tuple[str, str], list[str]] = {}
    try:
        with tarfile.open(path, "r|gz") as archive:
            for member in archive:
                inner = PurePosixPath(member.name)  # sorted_data_acl/books/negative.review
                domain = FOLDERS.get(inner.parent.name, inner.parent.name)
                if (
                    member.isfile()
                    and domain in DOMAINS
                    and inner.suffix == ".review"
                    and inner.stem in CLASSES
                    and (file := archive.extractfile(member)) is not None
                ):
                    reviews[domain, inner.stem] = _texts(member.name, inner.stem, file.read())
        for key in ((domain, label) for domain in DOMAINS for label in CLASSES):
            if (found := len(reviews.get(key, []))) != EACH:
                raise ValueError(f"{found} reviews in {'/'.join(key)}.review, of {EACH}")
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        raise RequestError(
            f"{path}: damaged ({error}); delete it and fetch it again from {ADDRESS}"
        ) from error
    return reviews


def _texts(member: str, label: str, octets: bytes) -> list[str]:
    """Of a file of <review>…</review>, in which &, < and > stand for themselves."""
    try:
        content = octets.decode()
    except UnicodeDecodeError:
        content = octets.decode("latin-1")  # as the authors have them
    found = []
    for number, review in enumerate(content.split("<review>")[1:]):
        parts = [_part(review, tag) for tag in ("title", "review_text", "rating")]
        if None in parts or "</review>" not in review or "\0" in review:
            raise ValueError(f"{member}: review {number} is not whole")
        title, text, rating = map(str, parts)
        if rating not in RATINGS[label]:
            raise ValueError(f"{member}: review {number} has {rating} stars")
        found.append(f"{title}\n{text}")
    return found


def _part(review: str, tag: str) -> str | None:
    found = re.search(f"<{tag}>(.*?)</{tag}>", review, re.DOTALL)
    return None if found is None else found[1].strip()
