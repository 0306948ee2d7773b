"""Real catalogs of each kind in a folder of their own: SQLite, a PostgreSQL server, Iceberg's own REST server."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from support import free_port, jars

CANARY = "canary-Zx81-"  # begins every secret: it is looked for where none may be


def wait_until(what, works, seconds=120):
    end = time.monotonic() + seconds
    while not works():
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not start in {seconds} s")
        time.sleep(0.1)


class Catalog:
    """`uri` and `properties` are what PyIceberg and mlengine are told; the warehouse is a folder."""

    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="mlengine-catalog-")
        os.chmod(self.folder, 0o755)
        self.warehouse = "file://" + os.path.join(self.folder, "warehouse")

    def lua(self):
        """The project's settings: this catalog is `default`."""
        pairs = ", ".join(f'["{key}"] = "{value}"' for key, value in self.properties.items())
        return f"catalogs = {{ default = {{ {pairs} }} }}"

    def pyiceberg(self):
        from pyiceberg.catalog import load_catalog

        return load_catalog("default", **self.properties)

    def stop(self):
        shutil.rmtree(self.folder, ignore_errors=True)


class Sqlite(Catalog):
    kind = "sqlite"

    def __init__(self):
        super().__init__()
        self.properties = {"type": "sql", "uri": f"sqlite:///{self.folder}/catalog.db", "warehouse": self.warehouse}

    def pyiceberg(self):
        os.makedirs(self.folder, exist_ok=True)
        return super().pyiceberg()


class Postgres(Catalog):
    """Runs as a user that is not root, as it insists on; listens on loopback, with a password."""

    kind = "postgres"
    password = CANARY + "p=w d%+"

    def __init__(self):
        super().__init__()
        self.programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1]
        self.port = free_port()
        self.data = os.path.join(self.folder, "data")
        os.makedirs(self.data)
        self.as_user = []
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(self.data, user.pw_uid, user.pw_gid)
            self.as_user = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        secret = os.path.join(self.folder, "password")
        with open(secret, "w") as f:
            f.write(self.password)
        subprocess.run([*self.as_user, self.program("initdb"), "-D", self.data, "-A", "scram-sha-256", "-U", "ice", f"--pwfile={secret}", "-N", "-E",
                        "UTF8", "--locale=C"], check=True, cwd=self.folder, stdout=subprocess.DEVNULL)
        os.remove(secret)
        self.start()
        self.properties = {"type": "sql", "uri": self.make_database("iceberg"), "warehouse": self.warehouse}

    def make_database(self, name):
        """A new one; its URI, as SQLAlchemy takes it."""
        env = {**os.environ, "PGPASSWORD": self.password}
        subprocess.run([self.program("createdb"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "ice", name], check=True, env=env)
        coded = "".join(c if c.isalnum() or c in "-_." else f"%{ord(c):02X}" for c in self.password)
        return f"postgresql+psycopg2://ice:{coded}@127.0.0.1:{self.port}/{name}"

    def program(self, name):
        return os.path.join(self.programs, name)

    def start(self):
        self.log = open(os.path.join(self.folder, "log"), "a")
        self.process = subprocess.Popen(
            [*self.as_user, self.program("postgres"), "-D", self.data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off",
             "-c", "unix_socket_directories=", "-c", "shared_buffers=16MB"], stdout=self.log, stderr=self.log, cwd=self.folder)
        ready = [self.program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        wait_until("PostgreSQL", lambda: subprocess.run(ready).returncode == 0)

    def end(self, how=signal.SIGQUIT):
        self.process.send_signal(how)
        self.process.wait()
        self.log.close()

    def sql(self, text):
        env = {**os.environ, "PGPASSWORD": self.password}
        done = subprocess.run([self.program("psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "ice", "-d", "iceberg", "-qAt", "-c", text], env=env,
                              check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    def stop(self):
        self.end()
        super().stop()


class Rest(Catalog):
    """RESTCatalogServer of Iceberg's own tests, with Java's JDBC catalog in memory behind it."""

    kind = "rest"

    def __init__(self, **env):
        super().__init__()
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.properties = {"type": "rest", "uri": self.url}
        env = {**os.environ, "CATALOG_CATALOG__IMPL": "org.apache.iceberg.jdbc.JdbcCatalog", "CATALOG_URI": "jdbc:sqlite::memory:",
               "CATALOG_CLIENTS": "1", "CATALOG_JDBC_SCHEMA__VERSION": "V1", "CATALOG_WAREHOUSE": self.warehouse, "CATALOG_REST_PORT": str(self.port), **env}
        self.log = open(os.path.join(self.folder, "log"), "w")
        self.process = subprocess.Popen(
            ["java", "-Xmx300m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Djava.io.tmpdir={self.folder}", "-cp",
             jars("iceberg-rest"), "org.apache.iceberg.rest.RESTCatalogServer"], env=env, stdout=self.log, stderr=self.log)
        wait_until("the REST catalog", self.answers)

    def answers(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "log")) as f:
                raise AssertionError("the REST catalog ended:\n" + f.read()[-3000:])
        try:
            urllib.request.urlopen(self.url + "/v1/config", timeout=2).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()
        super().stop()
