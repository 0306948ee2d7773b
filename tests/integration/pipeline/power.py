"""A disk that forgets: plays a journal of write_journal.c up to some moment, and leaves what a power loss may leave.

A file has what was written to it before its last sync. Of what came later each write is there, or not, or only some of its
sectors of 512 bytes: in any combination. A sync of a file also keeps the names by which it was made, as journaling file
systems do. Names that were changed since their folder's last sync (rename, link, unlink, mkdir) are changed or not, each
for itself: a later rename may be there without the one before it.
"""

import os

SECTOR = 512


def read_journal(path):
    """[(op, offset, bytes, path, other path)]"""
    records = []
    with open(path, "rb") as f:
        data = f.read()
    at = 0
    while at < len(data):
        end = data.index(b"\n", at)
        op, offset, length, name, other = data[at:end].decode().split("\t")
        at = end + 1 + int(length)
        records.append((op, int(offset), data[end + 1:at], name, other))
    return records


class File:
    def __init__(self, content=b""):
        self.durable = bytearray(content)
        self.pending = []  # (offset, bytes), or (size, None)
        self.creation = None  # its record among the names that are pending

    @staticmethod
    def put(content, offset, data):
        if data is None:
            del content[offset:]
            content.extend(bytes(offset - len(content)))
            return
        content.extend(bytes(max(0, offset - len(content))))
        content[offset:offset + len(data)] = data

    def sync(self):
        for change in self.pending:
            self.put(self.durable, *change)
        self.pending = []

    def after_loss(self, rng):
        """Any of its pending writes, whole or torn; sometimes none, sometimes all."""
        content, share = bytearray(self.durable), rng.choice([0, 0.5, 0.9, 1])
        for offset, data in self.pending:
            if rng.random() >= share:
                continue
            if data is None or rng.random() < 0.8 or len(data) <= SECTOR:
                self.put(content, offset, data)
                continue
            for at in range(0, len(data), SECTOR):
                if rng.random() < 0.5:
                    self.put(content, offset + at, data[at:at + SECTOR])
        return content


class Disk:
    """Names lead to Files, or to None for folders."""

    def __init__(self, root):
        self.root = root
        self.durable = {root: None}
        for folder, folders, files in os.walk(root):
            for name in folders:
                self.durable[os.path.join(folder, name)] = None
            for name in files:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and not os.path.islink(path):
                    with open(path, "rb") as f:
                        self.durable[path] = File(f.read())
        self.now = dict(self.durable)
        self.pending = []  # [op, path, other, file]: names that are not synced yet

    def play(self, record):
        op, offset, data, path, other = record
        file = self.now.get(path)
        if op == "write" and file:
            file.pending.append((offset, data))
        elif op == "size" and file:
            file.pending.append((offset, None))
        elif op == "sync":
            self.sync(path)
        elif op in ("create", "mkdir", "rename", "link", "unlink", "rmdir"):
            change = [op, path, other, File() if op == "create" else file]
            self.apply(self.now, change)
            self.pending.append(change)

    @staticmethod
    def apply(names, change):
        op, path, other, file = change
        if os.path.dirname(path) not in names or (other and os.path.dirname(other) not in names):
            return
        if op in ("create", "mkdir"):
            names[path] = file
        elif op in ("unlink", "rmdir"):
            names.pop(path, None)
        elif path in names:
            inner = [n for n in names if n.startswith(path + "/")] if names[path] is None and op == "rename" else []
            names[other] = names[path] if op == "link" else names.pop(path)
            for name in inner:
                names[other + name[len(path):]] = names.pop(name)

    def sync(self, path):
        file = self.now.get(path)
        if path in self.now and file is None:  # a folder: what is in it
            self.settle(lambda c: path in (os.path.dirname(c[1]), os.path.dirname(c[2] or "")))
        elif file:
            file.sync()
            self.settle(lambda c: c[3] is file and c[0] == "create" or c[0] == "mkdir" and path.startswith(c[1] + "/"))

    def settle(self, which):
        for change in [c for c in self.pending if which(c)]:
            self.apply(self.durable, change)
            self.pending.remove(change)

    def after_loss(self, rng):
        """{path: bytes, or None for a folder}"""
        names, share = dict(self.durable), rng.choice([0, 0.5, 0.9, 1])
        for change in self.pending:
            if rng.random() < share:
                self.apply(names, change)
        contents = {id(f): f.after_loss(rng) for f in names.values() if f}
        return {path: contents[id(f)] if f else None for path, f in names.items()}

    def as_it_is(self):
        for file in self.now.values():
            if file:
                file.sync()
        return {path: file.durable if file else None for path, file in self.now.items()}


def put_on_disk(root, state):
    for path in sorted(state):
        if state[path] is None:
            os.makedirs(path, mode=0o700, exist_ok=True)
    for path, content in state.items():
        if content is not None and os.path.isdir(os.path.dirname(path)):
            with open(path, "wb") as f:
                f.write(content)
            os.chmod(path, 0o600)
