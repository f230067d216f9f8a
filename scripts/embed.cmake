# Join lua/ into the two Redis libraries and embed them. CMake script mode, no other tool needed.
#
#   cmake -DOUT=functions_source.c [-DFILES=a.lua;b.lua...] -P scripts/embed.cmake   C, for the node
#   cmake -DLUA_OUT=folder         [-DFILES=...]            -P scripts/embed.cmake   Lua, for tests
#
# C: functions_version, functions_source (library weir_<version>), functions_status_source (library
# weir, loaded with REPLACE), each with its length; both are also terminated.
# Lua: folder/functions.lua, folder/status.lua, folder/version.
#
# Each file becomes the body of a function whose result bears the file's name (lua/lib/pool.lua says
# why); `calls` is made of lua/calls.def. The version is the first 8 hex digits of the SHA-1 of what was joined. FILES is what the
# build thinks there is: a file that is in no library, or in a library but not there, is an error.
cmake_minimum_required(VERSION 3.22)

set(LIBRARY pool check calls slots trial window health epoch roster strategy share lease admission queue book clients history refusal repair admit settle renew join beat leave declare snapshot remember recall mend functions)
set(STATUS pool check calls slots trial window health epoch roster strategy share lease admission queue book clients history refusal repair snapshot remember recall mend status)

include("${CMAKE_CURRENT_LIST_DIR}/calls.cmake")
calls_read()

get_filename_component(LUA_DIR "${CMAKE_CURRENT_LIST_DIR}/../lua" ABSOLUTE)
if(NOT FILES)
  file(GLOB FILES "${LUA_DIR}/*.lua" "${LUA_DIR}/lib/*.lua" "${LUA_DIR}/verb/*.lua")
endif()
foreach(path IN LISTS FILES)
  get_filename_component(stem "${path}" NAME_WE)
  if(NOT stem IN_LIST LIBRARY AND NOT stem IN_LIST STATUS)
    message(FATAL_ERROR "embed.cmake: ${path} belongs to no library: add it to LIBRARY or STATUS")
  endif()
  set(path_${stem} "${path}")
endforeach()

# The files of one library as one chunk, without head.
function(join_files out)
  string(REPLACE ";" ", " names "${ARGN}")
  set(joined "local ${names}\n")
  foreach(stem IN LISTS ARGN)
    if(stem STREQUAL "calls")
      calls_lua(content)
    elseif(NOT path_${stem})
      message(FATAL_ERROR "embed.cmake: ${stem}.lua is missing")
    else()
      file(READ "${path_${stem}}" content)
    endif()
    string(APPEND joined "${stem} = (function()\n${content}end)()\n")
  endforeach()
  set(${out} "${joined}" PARENT_SCOPE)
endfunction()

# `text` as a C array. A Lua source is ASCII: anything else would not fit into a char.
function(write_c_array file name text)
  file(WRITE "${file}.part" "${text}")
  file(READ "${file}.part" hex HEX)
  file(SIZE "${file}.part" size)
  file(REMOVE "${file}.part")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  if(bytes MATCHES "0x[89a-f]")
    message(FATAL_ERROR "embed.cmake: ${name} is not ASCII")
  endif()
  string(REPEAT "0x..," 20 line)
  string(REGEX REPLACE "(${line})" "\\1\n" bytes "${bytes}")
  file(APPEND "${file}"
       "\nconst char ${name}[] = {\n${bytes}0x00};\nconst size_t ${name}_len = ${size};\n")
endfunction()

join_files(body ${LIBRARY})
join_files(status_body ${STATUS})
string(SHA1 sha1 "${body}")
string(SUBSTRING "${sha1}" 0 8 version)
set(constant "local VERSION = \"${version}\"\n")
set(source "#!lua name=weir_${version}\n${constant}${body}")
set(status_source "#!lua name=weir\n${constant}${status_body}")

if(LUA_OUT)
  file(MAKE_DIRECTORY "${LUA_OUT}")
  file(WRITE "${LUA_OUT}/functions.lua" "${source}")
  file(WRITE "${LUA_OUT}/status.lua" "${status_source}")
  file(WRITE "${LUA_OUT}/version" "${version}")
elseif(OUT)
  file(WRITE "${OUT}" "/* Made by scripts/embed.cmake from lua/. */
#include <stddef.h>

extern const char functions_version[9];
extern const char functions_source[];
extern const size_t functions_source_len;
extern const char functions_status_source[];
extern const size_t functions_status_source_len;

const char functions_version[9] = \"${version}\";
")
  write_c_array("${OUT}" functions_source "${source}")
  write_c_array("${OUT}" functions_status_source "${status_source}")
else()
  message(FATAL_ERROR "embed.cmake: give -DOUT=file.c or -DLUA_OUT=folder")
endif()
