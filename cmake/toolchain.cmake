# Language level, warnings and link flags, the same for every target.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# GCC before 14 miscompiles coroutine temporaries (double frees), and we are built of coroutines.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  message(FATAL_ERROR "GCC ${CMAKE_CXX_COMPILER_VERSION} miscompiles coroutines; use clang-19 or GCC 14")
endif()

option(FLANNEL_DYNAMIC "Link every library dynamically, as distributions want" OFF)
set(FLANNEL_SANITIZE "" CACHE STRING "Value for -fsanitize=, e.g. address,undefined")

add_compile_options(-Wall -Wextra -Wpedantic -Werror -Wno-missing-field-initializers
                    -Wno-deprecated-declarations  # inside libstdc++ 12's stable_sort
                    -ffunction-sections -fdata-sections
                    -pthread)  # everywhere, since precompiled headers ask for the same everywhere
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_compile_options("SHELL:-Xclang -fno-pch-timestamp")  # for ccache
  add_link_options(-fuse-ld=lld)
endif()
add_link_options(-Wl,--gc-sections)

if(FLANNEL_SANITIZE)
  add_compile_options(-fsanitize=${FLANNEL_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${FLANNEL_SANITIZE})
elseif(NOT FLANNEL_DYNAMIC)
  # One file to copy: everything static but glibc, whose NSS modules need the dynamic loader.
  add_link_options($<$<CONFIG:Release>:-s> -static-libstdc++ -static-libgcc -Wl,-z,pack-relative-relocs -Wl,-z,now)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  # Paths relative to the tree, so that a fresh clone finds what another one compiled.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR}
                                  CCACHE_NOHASHDIR=1
                                  CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
endif()
