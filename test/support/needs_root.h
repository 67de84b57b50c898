// Tests that are made of network namespaces.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

// Where they cannot be made, a test is skipped, loudly, and fails with CI=true.
#define ROOT_OR_SKIP()                                       \
  if (::geteuid() != 0) {                                    \
    if (std::getenv("CI") != nullptr) {                      \
      FAIL() << "network namespaces need root";              \
    }                                                        \
    GTEST_SKIP() << "SKIPPED: network namespaces need root"; \
  }
