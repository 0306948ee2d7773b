"""A table of many files on S3, made by PyIceberg, and its scan by PyIceberg and by Spark: s3.py make|pyiceberg|spark ROOT URL FILES|ROUNDS"""
import json
import os
import statistics
import sys
import time
import warnings

warnings.simplefilter("ignore")
what, root, url, number = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
properties = {"uri": f"sqlite:///{root}/catalog.db", "warehouse": "s3://lake/w", "s3.endpoint": url, "s3.access-key-id": "key",
              "s3.secret-access-key": "secret", "s3.region": "us-east-1"}


def load():
    from pyiceberg.catalog.sql import SqlCatalog

    return SqlCatalog("default", **properties)


def make(files, rows=5000):
    """One snapshot with a file for each value of `part`."""
    import numpy as np
    import pyarrow as pa
    from pyiceberg.partitioning import PartitionField, PartitionSpec
    from pyiceberg.transforms import IdentityTransform

    catalog = load()
    catalog.create_namespace("ml")
    table = pa.table({"part": np.repeat(np.arange(files), rows), "id": np.arange(files * rows), "value": np.random.default_rng(1).normal(size=files * rows),
                      "other": np.random.default_rng(2).random(files * rows).astype("float32")})
    made = catalog.create_table("ml.t", schema=table.schema)
    with made.update_spec() as spec:
        spec.add_identity("part")
    made.append(table)
    print(json.dumps({"rows": table.num_rows}))


def rounds(scan):
    seconds = []
    for _ in range(number + 1):
        begun = time.perf_counter()
        rows, total = scan()
        seconds.append(time.perf_counter() - begun)
    print(json.dumps({"first": seconds[0], "seconds": statistics.median(seconds[1:]), "rows": rows, "total": total}))


def pyiceberg():
    import pyarrow.compute as pc

    def scan():
        found = load().load_table("ml.t").scan().to_arrow()
        return found.num_rows, pc.sum(found["value"]).as_py()
    rounds(scan)


def spark():
    tests = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "integration")
    sys.path[:0] = [tests, os.path.join(tests, "iceberg")]
    import spark_tables

    spark_tables.JARS = tuple(sys.argv[5:])
    session = spark_tables.start()
    settings = {"": "org.apache.iceberg.spark.SparkCatalog", ".cache-enabled": "false", ".type": "jdbc", ".uri": f"jdbc:sqlite:{root}/catalog.db",
                ".jdbc.schema-version": "V1", ".jdbc.init-catalog-tables": "false", ".warehouse": "s3://lake/w", ".client.region": "us-east-1",
                ".io-impl": "org.apache.iceberg.aws.s3.S3FileIO", ".s3.path-style-access": "true",
                **{"." + key: properties[key] for key in ("s3.endpoint", "s3.access-key-id", "s3.secret-access-key")}}
    for key, value in settings.items():
        session.conf.set("spark.sql.catalog.default" + key, value)
    rounds(lambda: tuple(session.sql("select count(*), sum(value) from `default`.ml.t").collect()[0]))


{"make": lambda: make(number), "pyiceberg": pyiceberg, "spark": spark}[what]()
