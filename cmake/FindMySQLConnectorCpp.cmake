# MySQL Connector/C++ 1.1 (the JDBC-like API) as Debian has it: libmysqlcppconn-dev ships no CMake config.
#   MySQLConnectorCpp::mysqlcppconn   the library with its headers cppconn/ and mysql_driver.h
find_path(MySQLConnectorCpp_INCLUDE_DIR cppconn/driver.h)
find_library(MySQLConnectorCpp_LIBRARY mysqlcppconn)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(MySQLConnectorCpp
  REQUIRED_VARS MySQLConnectorCpp_LIBRARY MySQLConnectorCpp_INCLUDE_DIR)
mark_as_advanced(MySQLConnectorCpp_INCLUDE_DIR MySQLConnectorCpp_LIBRARY)
if(MySQLConnectorCpp_FOUND AND NOT TARGET MySQLConnectorCpp::mysqlcppconn)
  add_library(MySQLConnectorCpp::mysqlcppconn UNKNOWN IMPORTED)
  set_target_properties(MySQLConnectorCpp::mysqlcppconn PROPERTIES
    IMPORTED_LOCATION "${MySQLConnectorCpp_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${MySQLConnectorCpp_INCLUDE_DIR}")
endif()
