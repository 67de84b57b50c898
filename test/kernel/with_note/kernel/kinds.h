// Stands in for src/kernel/kinds.h where kinds_test is built: the same list, and one kind more.
#pragma once

// The list itself, by another name: what includes this file takes the longer one for it.
#define Kinds KindsOfNodes
#include "../../../../src/kernel/kinds.h"
#undef Kinds

#include "test/kernel/with_note/note.h"

namespace flannel {

using Kinds = KindsOfNodes::With<Note>;

}  // namespace flannel
