/*
 * recipe.h -- what a frame is made of, for this folder only.
 *
 * A recipe is a SELECT text. Most frames have it twice: `sql` shows the user's
 * columns; `positioned` adds MLE_POSITION, each row's place in the plan order of
 * the frame where the rows came into being. Select, where and split hand the
 * position on unchanged, so a row is split alike whatever was left out before.
 */
#ifndef MLE_RECIPE_H
#define MLE_RECIPE_H

#include <stdatomic.h>

#include "engine/frame/frame.h"
#include "engine/frame/query.h"
#include "engine/frame/source.h"

#define MLE_POSITION "\"__mle_position\""
#define MLE_SQL_MAX ((size_t)16 << 20)

struct mle_frame {
  atomic_int holders;
  mle_session *session;
  char *sql;
  char *positioned;     /* NULL: rows are numbered as they come */
  mle_frame **parents;  /* held: their sources and pins feed this one */
  size_t num_parents;
  mle_source *source;   /* files of a scan and their siblings, else NULL */
  char *pin;            /* table that goes with this frame, else NULL */
  int pin_generation;   /* of the database that holds it */
  int splits;           /* above this frame, so that no two share their dice */
  bool steady;          /* known to give the same rows in the same order each time */
  bool alike;           /* where `sql` can be planned, `positioned` can, too */
  bool volatile_;       /* some text above names a function like random() */
  int64_t known_rows;   /* -1: unknown */
  mle_frame *like;      /* a parent with the same columns, else NULL */
  mle_frame_column *columns; /* NULL until asked for; set once, under the lock in frame.c */
  size_t num_columns;
};

/* A frame with one holder and no parents; takes `sql` and `positioned` also when it fails. */
mle_status mle_frame_take(mle_session *session, char *sql, char *positioned, mle_frame **out,
                          mle_error *err);

/* Adds a held parent. */
mle_status mle_frame_add_parent(mle_frame *frame, mle_frame *parent, mle_error *err);

/* A frame over one parent; `shape` when it shows the parent's columns. Takes the texts. */
mle_status mle_frame_derive(mle_frame *parent, bool shape, char *sql, char *positioned,
                            mle_frame **out, mle_error *err);

/* A text of a recipe, owned by the caller. */
__attribute__((format(printf, 3, 4)))
mle_status mle_recipe_text(char **out, mle_error *err, const char *fmt, ...);

/* A column of the frame; fails with the names there are. */
mle_status mle_frame_find_column(mle_frame *frame, const char *name, const mle_frame_column **out,
                                 mle_error *err);

/* What must hold before the frame is read: its pins are alive. */
mle_status mle_frame_ready(mle_frame *frame, mle_connection *c, mle_error *err);

/* Connects and makes ready. */
mle_status mle_frame_connect(mle_frame *frame, mle_connection **out, mle_error *err);

/* Appends the recipe with MLE_POSITION as its last column. */
mle_status mle_frame_put_positioned(const mle_frame *frame, mle_buffer *sql, mle_error *err);

#endif
