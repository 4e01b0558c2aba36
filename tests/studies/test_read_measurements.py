"""The benchmark of reading measurements reads all that its tables hold."""

import pyarrow.csv
import pytest


@pytest.mark.parametrize("kind", ["cells", "points", "mixed"])
def test_all_values_of_its_tables_are_read(kind, tmp_path):
    import read_measurements

    table = read_measurements.table(20_000, kind)
    pyarrow.csv.write_csv(table, tmp_path / "mine.csv")
    found = read_measurements.read(str(tmp_path / "mine.csv"), 20_000, kind)
    assert found["values"] == 20_000 - table["T"].null_count
