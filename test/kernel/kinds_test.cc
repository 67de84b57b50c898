// A kind that only this test has, and a part for it: the list of kinds is all that is touched. The
// sources of src/kernel and src/reconcile are compiled with it as they are.

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <memory>

#include "kernel/host_kernel.h"
#include "reconcile/reconciler.h"
#include "test/support/needs.h"
#include "test/support/shell.h"

namespace flannel {
namespace {

// Where the notes are, for the part and for others.
struct Notebook {
  Table<Note> notes;
  std::vector<Change> changes;
  std::vector<Op> under_way;
  UniqueFd event{::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  bool slow = false;   // ops are answered later
  bool known = false;  // nothing is to be written, as it turns out
  bool torn = false;   // no note can be written
  unsigned dumps = 0;

  void tell() const {
    const std::uint64_t one = 1;
    ASSERT_EQ(::write(event.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
  }
};

class NotePart : public Part {
 public:
  explicit NotePart(Notebook& book) : book_(book) {}

  KindSet kinds() const override { return flannel::kinds<Note>(); }
  void dump(const Scope&, KindSet, Snapshot& snapshot) override {
    ++book_.dumps;
    snapshot.ours.of<Note>() = book_.notes;
  }
  std::vector<OpResult> apply(std::span<const Op> ops) override {
    std::vector<OpResult> results;
    for (const Op& op : ops) {
      if (book_.slow) {
        book_.under_way.push_back(op);
        results.push_back({.pending = true});
      } else {
        results.push_back(put(op));
      }
    }
    return results;
  }
  int notify_fd() const override { return book_.event.get(); }
  void changes(const Scope&, Changes& changes) override {
    std::uint64_t count = 0;
    if (::read(book_.event.get(), &count, sizeof count) != sizeof count) {
      return;
    }
    for (const Op& op : std::exchange(book_.under_way, {})) {
      changes.answers.push_back({op, put(op)});
      changes.answers.back().result.untouched = book_.known;
    }
    std::ranges::move(std::exchange(book_.changes, {}), std::back_inserter(changes.ours));
  }

 private:
  OpResult put(const Op& op) {
    if (book_.torn) {
      return {EIO, "the page is torn"};
    }
    const Note& note = std::get<Note>(op.object);
    if (op.verb == Op::Verb::remove) {
      book_.notes.remove(note.key);
    } else {
      book_.notes.put(note);
    }
    return {};
  }

  Notebook& book_;
};

class KindsTest : public testing::Test {
 protected:
  void SetUp() override {
    ROOT_OR_SKIP();
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    make_underlay();
    std::vector<std::unique_ptr<Part>> parts;
    parts.push_back(std::make_unique<NotePart>(book));
    kernel = std::make_unique<HostKernel>(std::move(parts));
    scope.links = {"flannel.1"};
    scope.alias = "flannel 10.5.0.0/16";
    scope.networks = {*Prefix::parse("10.5.0.0/16")};
    Link link;
    link.key.name = "flannel.1";
    link.kind = Vxlan{1, *IpAddr::parse("198.18.0.2"), "eth0", 8472, false, false};
    link.mac = Mac::local(1);
    link.mtu = 1450;
    link.alias = scope.alias;
    want.of<Link>().put(link);
    want.of<Note>().put({{1}, "flannel.1", "first"});
    want.of<Note>().put({{2}, "flannel.1", "second"});
    reconciler = std::make_unique<Reconciler>(
        io.get_executor(), *kernel, scope,
        Reconciler::Planner{.plan = [this](const Snapshot&) { return want; }},
        Reconciler::Timing{});
  }

  void turn() {
    reconciler->process_notifications();
    reconciler->pass();
  }
  const std::vector<Problem>& problems() const { return reconciler->report().problems; }

  asio::io_context io;
  Notebook book;
  std::unique_ptr<HostKernel> kernel;
  Scope scope;
  NetState want;
  std::unique_ptr<Reconciler> reconciler;
};

TEST_F(KindsTest, IsMadeKeptAndRemovedLikeAnyOther) {
  EXPECT_EQ(to_text(want).substr(to_text(want).find("note")),
            "note 1 first dev flannel.1\nnote 2 second dev flannel.1\n");
  turn();
  EXPECT_EQ(book.notes, want.of<Note>());
  EXPECT_TRUE(reconciler->preview().ops.empty());

  book.notes.put({{1}, "flannel.1", "scribbled over"});
  book.changes.push_back({false, *book.notes.begin()});
  book.tell();
  turn();
  EXPECT_EQ(book.notes, want.of<Note>());

  book.notes.put({{3}, "flannel.1", "nobody's"});
  book.changes.push_back({false, Note{{3}, "flannel.1", "nobody's"}});
  book.tell();
  turn();
  EXPECT_EQ(book.notes, want.of<Note>());

  want.of<Note>().remove({1});
  turn();
  EXPECT_EQ(book.notes, want.of<Note>());
}

TEST_F(KindsTest, AFieldThatTheKernelMovesIsNoDifference) {
  turn();
  Note read = *book.notes.begin();
  read.readers = 7;
  book.notes.put(read);
  book.changes.push_back({false, read});
  book.tell();
  reconciler->process_notifications();
  const std::uint64_t ops = reconciler->report().ops;
  reconciler->set_additive(false);  // and after a dump
  reconciler->pass();
  EXPECT_EQ(reconciler->report().ops, ops);
  EXPECT_EQ(book.notes.find({1})->readers, 7U);

  want.of<Note>().put({{1}, "flannel.1", "reworded"});
  reconciler->pass();
  EXPECT_EQ(book.notes.find({1})->words, "reworded");
}

TEST_F(KindsTest, WaitsForTheDeviceThatItNeeds) {
  Link link = *want.of<Link>().begin();
  std::get<Vxlan>(link.kind).lower = "nosuch0";
  want.of<Link>().put(link);
  turn();
  ASSERT_EQ(problems().size(), 1U);
  EXPECT_EQ(problems()[0].waiting, 2U);
  EXPECT_TRUE(book.notes.empty());
}

TEST_F(KindsTest, WhereItFailsItsPartAloneIsListedAgain) {
  turn();
  book.torn = true;
  want.of<Note>().put({{1}, "flannel.1", "reworded"});
  turn();
  ASSERT_EQ(problems().size(), 1U);
  EXPECT_EQ(problems()[0].text, "the page is torn");
  const unsigned dumps = book.dumps;
  // Nobody is told of this one: only where links are listed again it would be seen.
  want.of<Route>() = {};
  shell("ip route add 10.5.77.0/24 via 198.18.0.9 proto 70");
  kernel->changes(scope);
  turn();
  EXPECT_EQ(book.dumps, dumps + 1);
  EXPECT_NE(shell("ip route show 10.5.77.0/24"), "");
}

// A slow answer holds up nobody, is no failure, and is not asked for twice.
TEST_F(KindsTest, MayBeAnsweredLater) {
  book.slow = true;
  turn();
  EXPECT_EQ(book.under_way.size(), 2U);
  EXPECT_EQ(total(reconciler->report().pending), 2U);
  EXPECT_TRUE(problems().empty());
  EXPECT_NE(shell("ip link show flannel.1"), "");
  turn();
  EXPECT_EQ(book.under_way.size(), 2U);
  book.tell();
  turn();
  EXPECT_EQ(book.notes, want.of<Note>());
  EXPECT_EQ(total(reconciler->report().pending), 0U);
}

// As where only a slow look can tell what there is.
TEST_F(KindsTest, WhatTurnsOutToBeAsWantedIsNoChange) {
  book.slow = book.known = true;
  turn();
  const std::uint64_t ops = reconciler->report().ops;
  book.tell();
  turn();
  EXPECT_EQ(reconciler->report().ops, ops);
  EXPECT_EQ(total(reconciler->report().pending), 0U);
  EXPECT_TRUE(reconciler->report().complete);
}

TEST_F(KindsTest, AFailureMayBeToldLaterToo) {
  book.slow = true;
  book.torn = true;
  turn();
  EXPECT_TRUE(problems().empty());
  book.tell();
  reconciler->process_notifications();
  ASSERT_EQ(problems().size(), 2U);
  EXPECT_EQ(problems()[0].text, "the page is torn");
  EXPECT_EQ(problems()[0].attempts, 1U);
  turn();  // tried again, and a problem until there is an answer
  EXPECT_EQ(book.under_way.size(), 2U);
  EXPECT_EQ(problems().size(), 2U);
  book.torn = false;
  book.tell();
  turn();
  EXPECT_EQ(book.notes, want.of<Note>());
  EXPECT_TRUE(problems().empty());
}

}  // namespace
}  // namespace flannel
