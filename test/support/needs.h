// What tests need of the machine they run on. Where it is not there a test is skipped, loudly, and
// fails with CI=true.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <string_view>

#define NEEDS(condition, what)                                             \
  if (!(condition)) {                                                      \
    const char* const ci = std::getenv("CI");                              \
    ASSERT_FALSE(ci != nullptr && std::string_view(ci) == "true") << what; \
    GTEST_SKIP() << "SKIPPED: " << what;                                   \
  }

#define ROOT_OR_SKIP() NEEDS(::geteuid() == 0, "network namespaces need root")
