"""The published data sets that can be fetched: where they lie, and what their files are."""

from dataclasses import dataclass

__all__ = ["PUBLISHED", "Listed", "Piece", "PublishedSet"]


@dataclass(frozen=True)
class Piece:
    """One file of a data set.

    Attributes:
        path: below the data set's address.
        into: folder that it is unpacked or put into, below the user's.
        checksum: ``sha256:HEX`` or ``md5:HEX``; None where nobody published one.
    """

    path: str
    into: str = "."
    checksum: str | None = None

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Listed:
    """Archives of one list of a data set, whose addresses are the lines of a text file.

    Attributes:
        list_path: of the text file, below the data set's address.
        into: folder that they are unpacked into.
    """

    list_path: str
    into: str


@dataclass(frozen=True)
class PublishedSet:
    """A data set that its makers offer for download.

    Attributes:
        address: of the folder that its files lie in, with a slash at its end.
        pieces: files that are always needed.
        listed: large lists of archives, by the name of the split.
        terms: page that says who may use it for what.
        reader: format that reads it.
        size: of the download, in words.
    """

    address: str
    pieces: tuple[Piece, ...]
    terms: str
    reader: str
    size: str
    listed: dict[str, Listed] | None = None


PUBLISHED = {
    "ucf101": PublishedSet(
        address="https://www.crcv.ucf.edu/data/UCF101/",
        pieces=(
            # First what is small: a wrong address shows before gigabytes have come.
            Piece(
                "UCF101TrainTestSplits-RecognitionTask.zip",
                checksum="sha256:5c0d1a53b8ed364a2ac830a73f405e51bece7d98ce1254fd19ed4a36b224bd27",
            ),
            Piece("UCF101.rar"),
        ),
        terms="https://www.crcv.ucf.edu/data/UCF101.php",
        reader="ucf101",
        size="6.5 GB",
    ),
    "hmdb51": PublishedSet(
        address="http://serre-lab.clps.brown.edu/wp-content/uploads/2013/10/",
        pieces=(
            Piece("test_train_splits.rar", checksum="md5:15e67781e70dcfbdce2d7dbb9b3344b5"),
            Piece("hmdb51_org.rar"),
        ),
        terms=("https://serre-lab.clps.brown.edu/resource/hmdb-a-large-human-motion-database/"),
        reader="hmdb51",
        size="2 GB",
    ),
    "kinetics400": PublishedSet(
        address="https://s3.amazonaws.com/kinetics/400/",
        pieces=tuple(
            Piece(f"annotations/{split}.csv", into="annotations")
            for split in ("train", "val", "test")
        ),
        terms="https://github.com/cvdfoundation/kinetics-dataset",
        reader="kinetics",
        size="about 1.7 GB an archive",
        listed={
            split: Listed(f"{split}/k400_{split}_path.txt", into=split)
            for split in ("train", "val", "test")
        },
    ),
}
