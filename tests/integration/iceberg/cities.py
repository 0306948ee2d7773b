"""A table `db.t` of three columns with repeated and missing values, in small files; its rows are told by their ids."""

import pyarrow as pa
from tables import IcebergTest

SCHEMA = pa.schema([("id", pa.int64()), ("city", pa.string()), ("n", pa.int32())])
CITIES = ["a", "b", None]


class CitiesTest(IcebergTest):
    def make(self, files=3, rows=10, **options):
        catalog = self.catalog()
        catalog.create_namespace_if_not_exists("db")
        self.table = catalog.create_table("db.t", SCHEMA, **options)
        self.next = 0
        for _ in range(files):
            self.append(rows)
        return self.table

    def append(self, rows=10):
        ids = list(range(self.next, self.next + rows))
        self.next += rows
        columns = {"id": ids, "city": [CITIES[i % 3] for i in ids], "n": pa.array([None if i % 5 == 0 else i % 4 for i in ids], pa.int32())}
        self.table.append(pa.table(columns, schema=SCHEMA))
        self.table.refresh()
