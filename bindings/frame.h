/*
 * frame.h -- frames between Lua and the bindings that make or read them.
 *
 *     mlb_box *box = mlb_push_frame(L);
 *     mlb_try(L, mle_frame_scan(mlb_session(L), &scan, &frame, &err), &err);
 *     box->object = frame;
 */
#ifndef MLB_FRAME_H
#define MLB_FRAME_H

#include <lua.h>

#include "bindings/box.h"
#include "engine/frame/frame.h"

/* The process's session; raises when it cannot be made. [-0, +0, v] */
mle_session *mlb_session(lua_State *L);

/* The frame at `arg`: a box, or a table of mlengine.frame that holds one. [-0, +0, v] */
mle_frame *mlb_check_frame(lua_State *L, int arg);

/* Pushes an empty box for a frame; require "mle.frame" comes first. [-0, +1, m] */
mlb_box *mlb_push_frame(lua_State *L);

#endif
