"""What is read from files of each format: the columns or variables that are asked for, as an `xarray.Dataset`.

One file per format, or layout of one. To add one, write a `Format` in a file of its own and name it in `FORMATS`, a
layout in `LAYOUTS`.
"""

from hyco.measurements.formats.delimited import CSV
from hyco.measurements.formats.format import Format, Wanted
from hyco.measurements.formats.hdf5 import HDF5
from hyco.measurements.formats.matlab import MATLAB
from hyco.measurements.formats.netcdf import NETCDF
from hyco.measurements.formats.numpy_files import NPY, NPZ
from hyco.measurements.formats.parquet import PARQUET
from hyco.measurements.formats.pdebench import PDEBENCH
from hyco.measurements.formats.the_well import THE_WELL
from hyco.measurements.formats.zarr_store import ZARR

# By the ending of a file's name.
FORMATS: dict[str, Format] = {
    ".csv": CSV,
    ".parquet": PARQUET,
    ".nc": NETCDF,
    ".zarr": ZARR,
    ".h5": HDF5,
    ".hdf5": HDF5,
    ".mat": MATLAB,
    ".npz": NPZ,
    ".npy": NPY,
    **dict.fromkeys((".tsv", ".txt", ".dat"), CSV),
}

# Layouts of HDF5, by `format` of the section.
LAYOUTS: dict[str, Format] = {"pdebench": PDEBENCH, "the_well": THE_WELL}
# The formats that may have them.
OF_LAYOUTS = (".h5", ".hdf5")

__all__ = ["FORMATS", "LAYOUTS", "OF_LAYOUTS", "Format", "Wanted"]
