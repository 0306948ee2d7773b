/*
 * file.h -- local files, written whole or not at all.
 *
 *     MLE_TRY(mle_file_replace(path, text, len, 0644, err));
 *
 * A write goes to a temporary name in the same folder, is synced, and takes its
 * name in one step; then the folder is synced. A crash leaves the old file, the
 * new one, or a file named *.tmp-*, never half of one.
 */
#ifndef MLE_FILE_H
#define MLE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/base/buffer.h"
#include "engine/base/error.h"

/* Appends the file's bytes to `out`, whose maximum bounds them. ENOTFOUND when absent. */
mle_status mle_file_read(const char *path, mle_buffer *out, mle_error *err);

/* Appends `len` bytes from `offset`; fewer than that is EFORMAT ("truncated"). */
mle_status mle_file_read_range(const char *path, int64_t offset, size_t len, mle_buffer *out,
                               mle_error *err);

/* Creates the file; EEXISTS when the name is taken, also by a process racing us. */
mle_status mle_file_create(const char *path, const void *bytes, size_t len, mode_t mode,
                           mle_error *err);

/* Creates or replaces the file in one step. */
mle_status mle_file_replace(const char *path, const void *bytes, size_t len, mode_t mode,
                            mle_error *err);

/* Syncs a file that somebody else wrote, and its folder. */
mle_status mle_file_sync(const char *path, mle_error *err);

mle_status mle_file_size(const char *path, int64_t *out, mle_error *err);
bool mle_file_exists(const char *path);

/* Removes a file; one that is not there is fine. */
mle_status mle_file_remove(const char *path, mle_error *err);

/* Removes a folder and all in it, following no link; one that is not there is fine. */
mle_status mle_remove_tree(const char *path, mle_error *err);

/* Creates a folder and its parents; those there already keep their mode. */
mle_status mle_make_folders(const char *path, mode_t mode, mle_error *err);

/* The absolute path of `path`, which need not exist, without "." and ".."; NULL: no memory. */
char *mle_path_absolute(const char *path);

/* "a" and "b" give "a/b"; an absolute `name` stands alone. NULL: out of memory. */
char *mle_path_join(const char *folder, const char *name);

/* The part after the last slash. */
const char *mle_path_name(const char *path);

/*
 * Takes an exclusive lock on a file (made when missing, mode 0600), held until
 * the descriptor is closed or the process ends. EBUSY when another holds it.
 */
mle_status mle_file_lock(const char *path, int *out_fd, mle_error *err);

#endif
