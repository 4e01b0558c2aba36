"""What is read from files of each format: the columns or variables that are asked for, as an `xarray.Dataset`.

One file per format. To add one, write a `Format` in a file of its own and name it in `FORMATS`.
"""

from hyco.measurements.formats.delimited import CSV
from hyco.measurements.formats.format import Format, Wanted
from hyco.measurements.formats.hdf5 import HDF5
from hyco.measurements.formats.matlab import MATLAB
from hyco.measurements.formats.netcdf import NETCDF
from hyco.measurements.formats.numpy_files import NPY, NPZ
from hyco.measurements.formats.parquet import PARQUET
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
}

__all__ = ["FORMATS", "Format", "Wanted"]
