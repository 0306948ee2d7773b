/*
 * pages.h -- databases that notice when their file is damaged.
 *
 * SQLite believes what it reads. Through this file system of SQLite's each page that is written to a database carries a
 * checksum, in eight bytes that SQLite leaves free at its end, and each one that is read is compared with it: a page that
 * is not what was written is SQLITE_IOERR_DATA. Other programs read and copy such a file as any other. A page without a
 * checksum is taken as it is: one that another program made, or brought from the write-ahead log into the file. What
 * lies in that log has SQLite's own checksums.
 */
#ifndef MLE_PAGES_H
#define MLE_PAGES_H

#include "engine/base/error.h"

struct sqlite3;

/* The name to give sqlite3_open_v2; NULL when SQLite has no file system to build on. */
const char *mle_pages_vfs(void);

/* Of a database just opened, before it has a table: keeps the bytes free. An older one stays without checksums. */
mle_status mle_pages_reserve(struct sqlite3 *handle, mle_error *err);

#endif
