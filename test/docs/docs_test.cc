// What README and docs say is so: commands are run, and what they name is there.

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <regex>
#include <sstream>

#include "base/directory_fixture.h"
#include "base/file.h"
#include "ctl/commands.h"
#include "test/support/lab_fixture.h"

namespace flannel {
namespace {

namespace json = boost::json;

const std::filesystem::path kSource = FLANNEL_SOURCE_DIR;

// Relative to the source tree.
std::vector<std::string> documents() {
  std::vector<std::string> out{"CONTRIBUTING.md", "README.md"};
  for (const auto& entry : std::filesystem::directory_iterator(kSource / "docs")) {
    if (entry.path().extension() == ".md") {
      out.push_back("docs/" + entry.path().filename().string());
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

std::string text_of(const std::string& document) {
  return read_file(kSource / document).value();
}

// The part under a heading, up to the next.
std::string section(const std::string& document, const std::string& heading) {
  const std::string text = text_of(document);
  const std::size_t start = text.find("\n## " + heading + "\n");
  EXPECT_NE(start, std::string::npos) << document << ": " << heading;
  return start == std::string::npos ? ""
                                    : text.substr(start, text.find("\n## ", start + 4) - start);
}

// All first groups of `pattern`.
std::vector<std::string> all_of(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  std::vector<std::string> out;
  for (std::sregex_iterator it(text.begin(), text.end(), regex), end; it != end; ++it) {
    out.push_back((*it)[1]);
  }
  return out;
}

std::set<std::string> set_of(const std::string& text, const std::string& pattern) {
  const std::vector<std::string> all = all_of(text, pattern);
  return {all.begin(), all.end()};
}

// The comma-separated names in a table's first column.
std::set<std::string> first_column(const std::string& text) {
  std::set<std::string> out;
  for (const std::string& cell : all_of(text, R"(\n\| ([a-z][^|]*) \|)")) {
    out.merge(set_of(cell, R"(([^, ]+))"));
  }
  return out;
}

// The blocks of commands that are not marked as `<!-- not run: REASON -->`.
std::string commands_of(const std::string& document) {
  std::istringstream lines(text_of(document));
  std::string out, line, before;
  bool in_block = false;
  while (std::getline(lines, line)) {
    if (in_block) {
      in_block = line != "```";
      out += in_block ? line + "\n" : "";
    } else {
      in_block = line == "```sh" && !before.starts_with("<!-- not run: ");
    }
    before = line;
  }
  return out;
}

class Commands : public testing::TestWithParam<std::string> {};

TEST_P(Commands, OfTheDocumentRun) {
  ROOT_OR_SKIP();
  const ProgramResult result =
      RunningProgram(
          {"unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
           (kSource / "test/docs/docs_sandbox").string(), kSource.string(), FLANNEL_BINARY_DIR},
          commands_of(GetParam()))
          .wait();
  EXPECT_EQ(result.status, 0) << result.output;
}

std::vector<std::string> documents_with_commands() {
  std::vector<std::string> out = documents();
  std::erase_if(out, [](const std::string& document) { return commands_of(document).empty(); });
  return out;
}

INSTANTIATE_TEST_SUITE_P(Docs, Commands, testing::ValuesIn(documents_with_commands()),
                         [](const auto& document) {
                           return std::filesystem::path(document.param).stem().string();
                         });

TEST(Docs, NameFilesThatAreThere) {
  for (const std::string& document : documents()) {
    const std::string text = text_of(document);
    for (
        const std::string& path : all_of(
            text,
            R"(`((?:src|test|docs|scripts|packaging|cmake|daemon|kernel|network|base)/[a-z0-9_./-]+)`)")) {
      EXPECT_TRUE(std::filesystem::exists(kSource / path) ||
                  std::filesystem::exists(kSource / "src" / path))
          << document << ": " << path;
    }
    for (const std::string& link : all_of(text, R"(\]\(([^)#:]+)\))")) {
      EXPECT_TRUE(std::filesystem::exists((kSource / document).parent_path() / link))
          << document << ": " << link;
    }
  }
}

TEST(Docs, NameFlagsThatFlanneldHasAndAllOfThem) {
  const std::string help = RunningProgram({TestLab::binary("flanneld"), "--help"}).wait().output;
  std::set<std::string> flags = set_of(help, R"(\n  -{1,2}([a-zA-Z_0-9-]+))");
  flags.insert("help");
  const std::string described = section("docs/operating.md", "Flags");
  std::set<std::string> named = first_column(described);
  named.erase("flag");
  for (const std::string& flag : named) {
    EXPECT_TRUE(flags.contains(flag)) << flag;
  }
  named.merge(set_of(described, R"(`--([a-z_-]+)`)"));
  for (const std::string& flag : flags) {
    EXPECT_TRUE(named.contains(flag)) << "not in docs/operating.md: " << flag;
  }
  // Elsewhere too, what looks like a flag is one of flanneld's or of flannelctl's.
  for (const Command& command : all_commands()) {
    for (const Option& option : command.options) {
      flags.insert(std::string(option.name));
    }
  }
  for (const std::string& document : documents()) {
    for (const std::string& flag : all_of(text_of(document), R"(`--([a-z_-]{2,})[=`])")) {
      EXPECT_TRUE(flags.contains(flag) || flag == "no-block") << document << ": --" << flag;
    }
  }
}

TEST(Docs, NameCommandsThatFlannelctlHas) {
  for (const std::string& document : documents()) {
    for (const std::string& line : all_of(text_of(document), R"(`flannelctl ([^`]+)`)")) {
      const std::vector<std::string> words = all_of(line, R"(([^ ]+))");
      const Result<Call> call = parse_call(all_commands(), words);
      EXPECT_TRUE(call) << document << ": " << call.error().text;
    }
  }
}

// On a machine that has nothing of it: programs say that no package is installed, and what would
// be.
TEST(Docs, DependenciesAreInstalledWhereNothingIs) {
  const TestDirectory bare;
  ASSERT_TRUE(replace_file(bare.file("dpkg-query"), "#!/bin/sh\nexit 1\n", 0755));
  ASSERT_TRUE(replace_file(bare.file("apt-get"), "#!/bin/sh\n:\n", 0755));
  ASSERT_TRUE(replace_file(bare.file("id"), "#!/bin/sh\necho 0\n", 0755));
  ASSERT_TRUE(replace_file(bare.file("grep"), "#!/bin/sh\nexit 1\n", 0755));
  const std::string script = (kSource / "scripts/install-dependencies").string();
  const ProgramResult result = RunningProgram({"env", "PATH=" + bare.path().string(), "/bin/sh",
                                               script, "build", "test", "lint", "bench"})
                                   .wait();
  ASSERT_EQ(result.status, 0) << result.output;
  for (const char* package : {"clang-19", "cmake", "iproute2", "golang-go", "etcd-server",
                              "nftables", "clang-tidy-19", "git", "python3"}) {
    EXPECT_NE((result.output + " ").find(fmt::format(" {} ", package)), std::string::npos)
        << package << " in: " << result.output;
  }
}

// `a.b`, and `a.list[].c` for what the items of a list have.
void collect_fields(const json::value& value, const std::string& path, std::set<std::string>& out) {
  if (const json::object* object = value.if_object()) {
    for (const auto& [name, field] : *object) {
      collect_fields(field, (path.empty() ? "" : path + ".") + std::string(name), out);
    }
  } else if (const json::array* array = value.if_array(); array && !array->empty()) {
    collect_fields(array->front(), path + "[]", out);
  } else {
    out.insert(path);
  }
}

// A list that is empty stands for whatever its items have.
bool is_about(const std::string& path, const std::string& field) {
  return path == field || path.starts_with(field + ".") || path.starts_with(field + "[]") ||
         field.starts_with(path + "[].");
}

TEST(Docs, NameTheFieldsOfTheStatusAndAllOfThem) {
  ROOT_OR_SKIP();
  const TestLab lab;
  ASSERT_TRUE(lab.does({"up", "--nodes", "2"}));
  std::set<std::string> present;
  collect_fields(json::parse(lab.page(1, "/status")), "", present);
  std::set<std::string> named = first_column(section("docs/formats.md", "Status"));
  named.erase("field");
  for (const std::string& path : present) {
    EXPECT_TRUE(std::any_of(named.begin(), named.end(),
                            [&](const std::string& field) { return is_about(path, field); }))
        << "not in docs/formats.md: " << path;
  }
  for (const std::string& field : named) {
    EXPECT_TRUE(std::any_of(present.begin(), present.end(),
                            [&](const std::string& path) { return is_about(path, field); }))
        << "not in the status document: " << field;
  }
}

// Of a table's rows `| NAMES | TYPE |`: `NAME TYPE`.
std::set<std::string> documented_metrics() {
  const std::string text = section("docs/operating.md", "Metrics");
  const std::regex row(R"(\n\| ([a-z_, ]+) \| (gauge|counter|histogram) \|)");
  std::set<std::string> out;
  for (std::sregex_iterator it(text.begin(), text.end(), row), end; it != end; ++it) {
    for (const std::string& name : all_of((*it)[1], R"(([^, ]+))")) {
      out.insert(name + " " + (*it)[2].str());
    }
  }
  return out;
}

TEST(Docs, NameTheMetricsAndAllOfThem) {
  ROOT_OR_SKIP();
  const TestLab lab;
  ASSERT_TRUE(lab.does({"up", "--nodes", "2"}));
  const std::string page = lab.page(1, "/metrics");
  EXPECT_EQ(documented_metrics(), set_of(page, R"(\n# TYPE ([a-z_]+ [a-z]+))"));
  const std::set<std::string> present = set_of(page, R"(\n# TYPE ([a-z_]+) )");
  const std::vector<std::string> alerted =
      all_of(text_of("packaging/alerts.yml"), R"((flannel_[a-z_]+))");
  EXPECT_GE(alerted.size(), 5U);
  for (const std::string& metric : alerted) {
    EXPECT_TRUE(present.contains(metric)) << "not in /metrics: " << metric;
  }
}

}  // namespace
}  // namespace flannel
