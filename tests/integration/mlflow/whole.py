"""What a company runs: an MLflow server with PostgreSQL behind it, artifacts in a bucket, and passwords."""

import os
import sys

from common import HERE
from servers import Server

sys.path[:0] = [os.path.join(os.path.dirname(HERE), name) for name in ("catalogs", "stores")]
from catalog_servers import Postgres  # noqa: E402,F401
from s3 import S3  # noqa: E402,F401


def whole_server(venv, s3, postgres, **how):
    id, secret, _ = s3.writer
    return Server(venv, store=postgres.make_database(venv), artifacts="s3://lake/" + venv, auth=True, MLFLOW_S3_ENDPOINT_URL=s3.url,
                  AWS_ACCESS_KEY_ID=id, AWS_SECRET_ACCESS_KEY=secret, AWS_DEFAULT_REGION="us-east-1", **how)
