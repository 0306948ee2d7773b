# mle_need(NAME PACKAGE debian-package HEADER header [IN subfolder...] LIBRARY name... [LINK item...] [OPTIONAL])
#
# Defines mle::NAME for a library that is installed where CMake looks (CMAKE_PREFIX_PATH adds places). A missing one
# stops the configuration with the package to install; an OPTIONAL one just leaves the target undefined.
# Its header folder and file stay in the cache entries MLE_<NAME>_INCLUDE and MLE_<NAME>_LIBRARY, to be set by hand.
function(mle_need name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "OPTIONAL" "PACKAGE;HEADER" "IN;LIBRARY;LINK")
  string(TOUPPER ${name} NAME)
  find_path(MLE_${NAME}_INCLUDE ${arg_HEADER} PATH_SUFFIXES ${arg_IN})
  find_library(MLE_${NAME}_LIBRARY NAMES ${arg_LIBRARY})
  mark_as_advanced(MLE_${NAME}_INCLUDE MLE_${NAME}_LIBRARY)
  if(MLE_${NAME}_INCLUDE AND MLE_${NAME}_LIBRARY)
    mle_import(${name} ${MLE_${NAME}_INCLUDE} ${MLE_${NAME}_LIBRARY} ${arg_LINK})
  elseif(NOT arg_OPTIONAL)
    mle_missing("${name} (${arg_HEADER})" ${arg_PACKAGE})
  endif()
endfunction()

# Defines mle::NAME from a header folder and a library file. CMake puts the folder of a shared library that is not in
# the system's places on the run path of what links it, so the fetched ones are found from build/.
function(mle_import name include library)
  add_library(mle::${name} UNKNOWN IMPORTED GLOBAL)
  set_target_properties(mle::${name} PROPERTIES
    IMPORTED_LOCATION ${library}
    INTERFACE_INCLUDE_DIRECTORIES ${include}
    INTERFACE_LINK_LIBRARIES "${ARGN}")
endfunction()

function(mle_missing what package)
  message(FATAL_ERROR "${what} is missing: apt install ${package}, or run: sh vendor/bootstrap build")
endfunction()

# Sets OUT to the folder of a package fetched by vendor/fetch, or to nothing.
function(mle_fetched package out)
  execute_process(
    COMMAND sh ${PROJECT_SOURCE_DIR}/vendor/fetch --where ${package}
    OUTPUT_VARIABLE folder OUTPUT_STRIP_TRAILING_WHITESPACE)
  set(${out} "${folder}" PARENT_SCOPE)
endfunction()
