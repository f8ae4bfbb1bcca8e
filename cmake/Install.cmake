# What `cmake --install` puts where: the tree that scripts/build.sh turns into dist/. Everything is found relative to
# the programs and libraries themselves, so the tree can be moved.
include(CMakePackageConfigHelpers)

# ---- the public libraries: only LTS_API is visible; gRPC, protobuf and RocksDB stay inside
function(lts_public_library name core)
  add_library(${name} SHARED "${PROJECT_SOURCE_DIR}/cmake/empty.cc")
  add_library(lts::${ARGV2} ALIAS ${name})
  target_link_libraries(${name} PRIVATE "$<LINK_LIBRARY:WHOLE_ARCHIVE,${core}>")
  target_compile_features(${name} INTERFACE cxx_std_17)
  target_include_directories(${name} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
  set_target_properties(${name} PROPERTIES
    VERSION ${PROJECT_VERSION} SOVERSION 1 EXPORT_NAME ${ARGV2} INSTALL_RPATH "$ORIGIN")
  install(TARGETS ${name} EXPORT lts LIBRARY DESTINATION lib)
endfunction()
lts_public_library(lts_jobclient lts_jobclient_core jobclient)
lts_public_library(lts_tasktracker lts_tasktracker_core tasktracker)

install(TARGETS lts_proto LIBRARY DESTINATION lib NAMELINK_SKIP)
set_target_properties(lts_proto PROPERTIES INSTALL_RPATH "$ORIGIN")
install(TARGETS lts_runner EXPORT lts)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/lts" DESTINATION include)
install(TARGETS lts_word_count LIBRARY DESTINATION lib/plugins)

# ---- find_package(lts), pkg-config
install(EXPORT lts NAMESPACE lts:: FILE ltsTargets.cmake DESTINATION lib/cmake/lts)
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/ltsConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/ltsConfig.cmake" INSTALL_DESTINATION lib/cmake/lts)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/ltsConfigVersion.cmake" COMPATIBILITY SameMajorVersion)
install(FILES "${PROJECT_BINARY_DIR}/ltsConfig.cmake" "${PROJECT_BINARY_DIR}/ltsConfigVersion.cmake"
  DESTINATION lib/cmake/lts)
foreach(library jobclient tasktracker)
  set(LTS_PC_LIBRARY ${library})
  configure_file("${PROJECT_SOURCE_DIR}/cmake/lts.pc.in" "${PROJECT_BINARY_DIR}/lts_${library}.pc" @ONLY)
  install(FILES "${PROJECT_BINARY_DIR}/lts_${library}.pc" DESTINATION lib/pkgconfig)
endforeach()

# ---- programs, scripts, configuration
foreach(program jobtracker tasktracker jobclient)
  if(TARGET ${program})
    set_target_properties(${program} PROPERTIES INSTALL_RPATH "$ORIGIN/../lib")
    install(TARGETS ${program} RUNTIME DESTINATION bin)
  endif()
endforeach()
# Needs none of our libraries, so it has no path to them.
install(TARGETS lts_runner_host RUNTIME DESTINATION bin)
install(FILES "${PROJECT_BINARY_DIR}/src/jobclient/completions/jobclient"
  DESTINATION share/bash-completion/completions)
install(PROGRAMS "${PROJECT_SOURCE_DIR}/scripts/jobtracker.sh" "${PROJECT_SOURCE_DIR}/scripts/tasktracker.sh"
  DESTINATION bin)
install(FILES "${PROJECT_SOURCE_DIR}/scripts/lts-common.sh" DESTINATION bin)
install(FILES "${PROJECT_SOURCE_DIR}/conf/standalone/jobtracker.cfg" DESTINATION conf/standalone)
install(FILES "${PROJECT_SOURCE_DIR}/conf/zoo/jobtracker.cfg" DESTINATION conf/zoo)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/conf/mysql" DESTINATION conf FILES_MATCHING PATTERN "V*.sql")
install(FILES "${PROJECT_SOURCE_DIR}/conf/tasktracker.cfg" "${PROJECT_SOURCE_DIR}/conf/jobclient.cfg" DESTINATION conf)
install(FILES "${PROJECT_SOURCE_DIR}/cmake/RUNTIME-DEPS" DESTINATION .)
