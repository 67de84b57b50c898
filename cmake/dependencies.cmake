# Every library we use, under one target name each. Static archives where Debian has them.
if(NOT FLANNEL_DYNAMIC)
  set(Boost_USE_STATIC_LIBS ON)
  set(OPENSSL_USE_STATIC_LIBS ON)
endif()

find_package(Boost 1.81 REQUIRED COMPONENTS json)
find_package(OpenSSL 3 REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(GTest REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(re2 REQUIRED IMPORTED_TARGET re2)
pkg_check_modules(nghttp2 REQUIRED IMPORTED_TARGET libnghttp2)
pkg_check_modules(md REQUIRED IMPORTED_TARGET libmd)
pkg_check_modules(yaml REQUIRED IMPORTED_TARGET yaml-0.1)
find_path(PROTOZERO_INCLUDE protozero/pbf_reader.hpp REQUIRED)

# The header-only forms: Debian ships fmt and spdlog as shared libraries only.
find_package(fmt REQUIRED)
find_path(SPDLOG_INCLUDE spdlog/spdlog.h REQUIRED)
add_library(flannel_fmt INTERFACE)
target_link_libraries(flannel_fmt INTERFACE fmt::fmt-header-only)
target_compile_definitions(flannel_fmt INTERFACE SPDLOG_FMT_EXTERNAL)

add_library(flannel_protozero INTERFACE)
target_include_directories(flannel_protozero SYSTEM INTERFACE ${PROTOZERO_INCLUDE})

if(NOT FLANNEL_DYNAMIC)
  # pkg-config and FindSQLite3 name the shared objects; take the archives beside them.
  find_library(NGHTTP2_ARCHIVE libnghttp2.a REQUIRED)
  set_target_properties(PkgConfig::nghttp2 PROPERTIES INTERFACE_LINK_LIBRARIES ${NGHTTP2_ARCHIVE})
  find_library(MD_ARCHIVE libmd.a REQUIRED)
  set_target_properties(PkgConfig::md PROPERTIES INTERFACE_LINK_LIBRARIES ${MD_ARCHIVE})
  find_library(YAML_ARCHIVE libyaml.a REQUIRED)
  set_target_properties(PkgConfig::yaml PROPERTIES INTERFACE_LINK_LIBRARIES ${YAML_ARCHIVE})
  find_library(RE2_ARCHIVE libre2.a REQUIRED)
  set_target_properties(PkgConfig::re2 PROPERTIES INTERFACE_LINK_LIBRARIES
                        "${RE2_ARCHIVE};Threads::Threads")
  find_library(ZLIB_ARCHIVE libz.a REQUIRED)
  # FindZLIB has made it of one configuration, whose location goes before IMPORTED_LOCATION.
  set_target_properties(ZLIB::ZLIB PROPERTIES IMPORTED_LOCATION_RELEASE ${ZLIB_ARCHIVE})
  find_library(SQLITE_ARCHIVE libsqlite3.a REQUIRED)
  set_target_properties(SQLite::SQLite3 PROPERTIES IMPORTED_LOCATION ${SQLITE_ARCHIVE}
                        INTERFACE_LINK_LIBRARIES "m;${CMAKE_DL_LIBS};Threads::Threads")
endif()
