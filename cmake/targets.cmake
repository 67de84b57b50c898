include(GoogleTest)

# flannel_precompiled(TARGET OWNER [HEADER...]): TARGET compiles with the precompiled headers of
# OWNER, which makes them of cmake/precompiled.h and HEADERs when its turn comes.
function(flannel_precompiled target owner)
  if(target STREQUAL owner)
    target_precompile_headers(${target} PRIVATE ${CMAKE_SOURCE_DIR}/cmake/precompiled.h ${ARGN})
  else()
    target_precompile_headers(${target} REUSE_FROM ${owner})
  endif()
endfunction()

# flannel_library(FOLDER DEPS ...): the library of src/FOLDER, all its .cc files but main.cc and
# tests, and one test program of its *_test.cc files; those of A/B are A_B and A_B_test. Linking only what DEPS names keeps the
# layers of docs/design.md honest: an include that points up does not link.
function(flannel_library folder)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/${folder}/*.cc)
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "(_test|/main)\\.cc$")
  if(NOT sources)
    return()
  endif()
  string(REPLACE "/" "_" name ${folder})
  add_library(${name} STATIC ${sources})
  target_include_directories(${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
  flannel_precompiled(${name} base)
  target_link_libraries(${name} PUBLIC ${ARG_DEPS})
  if(tests)
    flannel_test(${name}_test SOURCES ${tests} DEPS ${name})
  endif()
endfunction()

# What programs of tests have in common. Sanitizers take thrice the time to compile tests that are
# optimised, and these do not run longer without: libraries are what is slow.
function(flannel_test_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  set_target_properties(${name} PROPERTIES UNITY_BUILD OFF)  # names are unique within a file of tests
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} GTest::gtest_main)
  flannel_precompiled(${name} base_test <gtest/gtest.h>)
  if(FLANNEL_SANITIZE)
    target_compile_options(${name} PRIVATE -O0)
  endif()
endfunction()

# flannel_test(NAME [OF_PROGRAMS] SOURCES ... DEPS ...): a GoogleTest program, each case a ctest
# test. OF_PROGRAMS: it runs our programs alone, and so can be played with those of the release.
function(flannel_test name)
  cmake_parse_arguments(ARG "OF_PROGRAMS" "" "" ${ARGN})
  flannel_test_program(${name} ${ARG_UNPARSED_ARGUMENTS})
  set(labels)
  if(ARG_OF_PROGRAMS)
    set(labels LABELS programs)
  endif()
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 300 ${labels})
endfunction()

# flannel_etcd_test(NAME FILTER ...): flannel_test, and the cases that FILTER names once more with
# the newer etcd of scripts/build-etcd.
file(STRINGS ${CMAKE_SOURCE_DIR}/test/etcd/go.mod etcd_version
     REGEX "^require go.etcd.io/etcd/server/v3 v")
string(REGEX REPLACE "^.* v" "" etcd_version "${etcd_version}")
set(cache "$ENV{XDG_CACHE_HOME}")
if(NOT cache)
  set(cache "$ENV{HOME}/.cache")
endif()
set(FLANNEL_NEWER_ETCD "${cache}/flannel-cpp/etcd-${etcd_version}")
function(flannel_etcd_test name filter)
  flannel_test(${name} ${ARGN})
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST TEST_FILTER "${filter}"
                       TEST_SUFFIX "@etcd-${etcd_version}"
                       PROPERTIES TIMEOUT 300 ENVIRONMENT "FLANNEL_ETCD=${FLANNEL_NEWER_ETCD}")
endfunction()

# flannel_kube_test(NAME ...): a GoogleTest program with an API server, one ctest test, so that its cases
# share the server; with the newer etcd, which Kubernetes asks for. It takes long, and so is begun first.
function(flannel_kube_test name)
  flannel_test_program(${name} ${ARGN})
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES COST 1 TIMEOUT 600 ENVIRONMENT "FLANNEL_ETCD=${FLANNEL_NEWER_ETCD}")
endfunction()

# flannel_program(NAME FOLDER DEPS ... [STATIC]): src/FOLDER/main.cc as the program NAME in bin/;
# STATIC: the release without any shared library, glibc included, for programs that must start fast.
function(flannel_program name folder)
  cmake_parse_arguments(ARG "STATIC" "" "DEPS" ${ARGN})
  add_executable(${name} ${CMAKE_SOURCE_DIR}/src/${folder}/main.cc)
  flannel_precompiled(${name} base)
  target_link_libraries(${name} PRIVATE ${ARG_DEPS})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
  if(ARG_STATIC AND NOT FLANNEL_DYNAMIC AND NOT FLANNEL_SANITIZE)
    target_link_options(${name} PRIVATE $<$<CONFIG:Release>:-static>)
  endif()
endfunction()
