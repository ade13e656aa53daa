# title: pandas, PyArrow, h5py, NumPy
# group: Databases
# does: CSV, Parquet, Feather, HDF5 (groups, resizing, compression), npz, pickle
# needs: python:pandas python:pyarrow python:h5py
# packages: python3-venv
# pip: pandas pyarrow h5py
# version: $PYTHON -c 'import pandas; print(pandas.__version__)'

work() {
    $PYTHON - <<'PY'
import h5py, numpy as np, pandas as pd
f = pd.DataFrame({"a": np.arange(5000), "b": np.arange(5000) * 1.5, "c": [f"text {i % 97}" for i in range(5000)]})
f.to_csv("f.csv"); f.to_parquet("f.parquet"); f.to_feather("f.feather"); f.to_pickle("f.pickle"); f.to_parquet("parts", partition_cols=["c"])
with h5py.File("f.h5", "w") as h:
    d = h.create_dataset("x", (1000, 10), maxshape=(None, 10), chunks=(100, 10), compression="gzip"); d[:] = np.arange(10000).reshape(1000, 10)
with h5py.File("f.h5", "a") as h:
    h["x"].resize(1500, axis=0); h["x"][1000:] = 7; h.create_group("g")["y"] = np.ones(2000); h["g"].attrs["k"] = "v"; del h["g/y"]
np.savez_compressed("f.npz", a=np.arange(1000)); np.save("f.npy", np.eye(50))
PY
}

check() {
    $PYTHON - <<'PY'
import h5py, numpy as np, pandas as pd
for n, r in [("csv", pd.read_csv), ("parquet", pd.read_parquet), ("feather", pd.read_feather), ("pickle", pd.read_pickle)]:
    f = r("f." + n); print(n, f.a.sum(), f.b.sum(), f.c.str.len().sum())
print(pd.read_parquet("parts").a.sum()); h = h5py.File("f.h5"); print(h["x"].shape, h["x"][:].sum(), h["g"].attrs["k"], list(h["g"]))
print(np.load("f.npz")["a"].sum(), np.load("f.npy").sum())
PY
}
