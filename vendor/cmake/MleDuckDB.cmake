# mle::duckdb, DuckDB's C API. In this order: -DDUCKDB_ROOT= (duckdb.h and libduckdb.so in it, or in its include and
# lib), an installed CMake package of the pinned version, the fetched copy.
set(DUCKDB_ROOT "" CACHE PATH "Folder of a DuckDB to use instead of the pinned one")

if(DUCKDB_ROOT)
  find_path(duckdb_include duckdb.h PATHS ${DUCKDB_ROOT} PATH_SUFFIXES include NO_DEFAULT_PATH NO_CACHE)
  find_library(duckdb_library duckdb PATHS ${DUCKDB_ROOT} PATH_SUFFIXES lib NO_DEFAULT_PATH NO_CACHE)
  if(NOT duckdb_include OR NOT duckdb_library)
    message(FATAL_ERROR "DUCKDB_ROOT=${DUCKDB_ROOT} has no duckdb.h and libduckdb.so, nor include/ and lib/ with them")
  endif()
  mle_import(duckdb ${duckdb_include} ${duckdb_library})
  return()
endif()

find_package(DuckDB 1.5.5 EXACT CONFIG QUIET GLOBAL)
if(TARGET duckdb)
  add_library(mle::duckdb INTERFACE IMPORTED GLOBAL)
  target_link_libraries(mle::duckdb INTERFACE duckdb)
  return()
endif()

mle_fetched(@duckdb/node-bindings-linux-x64 duckdb_library)
mle_fetched(duckdb duckdb_header)
if(NOT duckdb_library OR NOT duckdb_header)
  message(FATAL_ERROR "DuckDB is not fetched yet: run: sh vendor/bootstrap build")
endif()
mle_import(duckdb ${duckdb_header}/external/duckdb/src/include ${duckdb_library}/libduckdb.so)
