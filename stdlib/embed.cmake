# Writes OUTPUT, a C file holding the Lua modules under ROOT/mlengine, and the
# guides under ROOT/docs, as bytes:
#   cmake -DROOT=stdlib -DOUTPUT=stdlib.c -P embed.cmake
file(GLOB_RECURSE modules RELATIVE ${ROOT} ${ROOT}/mlengine/*.lua)
file(GLOB_RECURSE guides RELATIVE ${ROOT} ${ROOT}/docs/*.md)
list(SORT modules)
list(SORT guides)
set(index 0)

function(embed file name)
  file(READ ${ROOT}/${file} hex HEX)
  string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
  file(APPEND ${OUTPUT}.tmp "static const unsigned char m${index}[] = {${bytes}0};\n")
  set(rows "${rows}  {\"${name}\", \"@stdlib/${file}\", m${index}, sizeof m${index} - 1},\n" PARENT_SCOPE)
  math(EXPR next "${index} + 1")
  set(index ${next} PARENT_SCOPE)
endfunction()

file(WRITE ${OUTPUT}.tmp "#include \"stdlib/embedded.h\"\n\n")
foreach(file IN LISTS modules)
  string(REGEX REPLACE "(/init)?\\.lua$" "" name ${file})
  string(REPLACE "/" "." name ${name})
  embed(${file} ${name})
endforeach()
foreach(file IN LISTS guides)
  embed(${file} ${file})
endforeach()
file(APPEND ${OUTPUT}.tmp "\nconst mle_embedded mle_stdlib[] = {\n${rows}  {0, 0, 0, 0},\n};\n")
file(RENAME ${OUTPUT}.tmp ${OUTPUT})
