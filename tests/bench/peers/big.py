"""pandas + QuantileDMatrix + 20 rounds on one Parquet file: make FILE ROWS, or train FILE."""
import sys

if sys.argv[1] == "make":
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, rng = int(sys.argv[3]), np.random.default_rng(1)
    columns = {f"f{i}": rng.normal(size=rows) for i in range(12)}
    columns |= {f"f{i}": rng.random(rows).astype("float32") for i in range(12, 20)}
    columns["label"] = (columns["f0"] + columns["f1"] * columns["f16"] + rng.normal(size=rows) > 1).astype("int32")
    pq.write_table(pa.table(columns), sys.argv[2], row_group_size=200_000)
else:
    import pandas as pd
    import xgboost as xgb

    frame = pd.read_parquet(sys.argv[2])
    train = xgb.QuantileDMatrix(frame.drop(columns=["label"]), label=frame["label"])
    xgb.train({"objective": "binary:logistic", "max_depth": 6, "eta": 0.1}, train, 20).save_model(sys.argv[3])
