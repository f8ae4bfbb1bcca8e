# Every find_package of the project. All of it comes from Debian 12 (scripts/install-deps.sh).
find_package(Threads REQUIRED)
# Module mode on purpose: Debian's protobuf ships no CMake config, and gRPC's own config asks for it.
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(fmt CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
# Its headers are of 7.85 at least: CURLOPT_PROTOCOLS_STR.
find_package(CURL 7.85 REQUIRED)
find_package(CLI11 CONFIG REQUIRED)
find_package(nlohmann_json CONFIG REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(rocksdb REQUIRED IMPORTED_TARGET rocksdb)
find_package(leveldb CONFIG REQUIRED)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
# Containers, which groups are, came with 3.5.
find_package(ZooKeeper 3.5 REQUIRED)
find_package(MySQLConnectorCpp REQUIRED)
find_path(LTS_HTTPLIB_INCLUDE httplib.h REQUIRED)
find_library(LTS_HTTPLIB_LIBRARY cpp-httplib REQUIRED)
if(LTS_BUILD_TESTS)
  find_package(GTest CONFIG REQUIRED)
  find_package(benchmark CONFIG REQUIRED)
endif()
