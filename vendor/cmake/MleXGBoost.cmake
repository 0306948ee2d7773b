# mle::xgboost, XGBoost's C API. In this order: -DXGBOOST_ROOT= (an installation with include and lib, or the folder
# of the Python package, such as the CUDA build's site-packages/xgboost), an installed CMake package of the pinned
# version, the fetched copy. Python packages carry no headers: those are then the fetched ones.
# The fetched library finds the libgomp of its own wheel by its run path, so the two keep the wheel's layout.
set(XGBOOST_ROOT "" CACHE PATH "Folder of an XGBoost to use instead of the pinned one")

mle_fetched(xgboost xgboost_headers)
set(xgboost_headers ${xgboost_headers}/cpp_src/include)

if(XGBOOST_ROOT)
  find_path(xgboost_include xgboost/c_api.h PATHS ${XGBOOST_ROOT}/include ${xgboost_headers} NO_DEFAULT_PATH NO_CACHE)
  find_library(xgboost_library xgboost PATHS ${XGBOOST_ROOT}/lib ${XGBOOST_ROOT}/lib64 NO_DEFAULT_PATH NO_CACHE)
  if(NOT xgboost_include OR NOT xgboost_library)
    message(FATAL_ERROR "XGBOOST_ROOT=${XGBOOST_ROOT} has no lib/libxgboost.so, or no include/xgboost/c_api.h")
  endif()
  mle_import(xgboost ${xgboost_include} ${xgboost_library})
  return()
endif()

find_package(xgboost 3.2.0 EXACT CONFIG QUIET GLOBAL)
if(TARGET xgboost::xgboost)
  add_library(mle::xgboost INTERFACE IMPORTED GLOBAL)
  target_link_libraries(mle::xgboost INTERFACE xgboost::xgboost)
  return()
endif()

mle_fetched(xgboost-cpu xgboost_library)
if(NOT xgboost_library OR NOT IS_DIRECTORY ${xgboost_headers})
  message(FATAL_ERROR "XGBoost is not fetched yet: run: sh vendor/bootstrap build")
endif()
mle_import(xgboost ${xgboost_headers} ${xgboost_library}/xgboost/lib/libxgboost.so)
