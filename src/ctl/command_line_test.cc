#include "ctl/command_line.h"

#include <gtest/gtest.h>

#include "ctl/commands.h"

namespace flannel {
namespace {

using Words = std::vector<std::string>;

Result<Call> parse(const Words& arguments) {
  return parse_call(all_commands(), arguments);
}

Call parsed(const Words& arguments) {
  const Result<Call> call = parse(arguments);
  EXPECT_TRUE(call) << call.error().text;
  return call.value_or(Call{});
}

std::string refusal(const Words& arguments) {
  const Result<Call> call = parse(arguments);
  return call ? "accepted" : call.error().text;
}

TEST(CommandLine, ReadsOptionsBeforeBetweenAndBehindTheWords) {
  for (const Words& arguments : {Words{"lab", "up", "--nodes", "4", "--name=x", "--routed"},
                                 Words{"--nodes=4", "lab", "--name", "x", "--routed", "up"}}) {
    const Call call = parsed(arguments);
    ASSERT_NE(call.command, nullptr);
    EXPECT_EQ(call.command->name, "lab up");
    EXPECT_EQ(call.line.get("nodes", ""), "4");
    EXPECT_EQ(call.line.get("name", ""), "x");
    EXPECT_TRUE(call.line.has("routed"));
    EXPECT_EQ(call.line.get("store", "local"), "local");
    EXPECT_TRUE(call.help.empty());
  }
}

TEST(CommandLine, TakesAnotherProgramsWordsAsTheyAre) {
  for (const Words& arguments :
       {Words{"lab", "exec", "--name=x", "p1", "ping", "--name", "-c", "--", "help"},
        Words{"lab", "--name", "x", "exec", "p1", "--", "ping", "--name", "-c", "--", "help"},
        Words{"lab", "exec", "p1", "--name", "x", "ping", "--name", "-c", "--", "help"},
        Words{"lab", "exec", "p1", "--name=x", "--", "ping", "--name", "-c", "--", "help"},
        Words{"lab", "exec", "--name=x", "--", "p1", "ping", "--name", "-c", "--", "help"}}) {
    const Call call = parsed(arguments);
    EXPECT_EQ(call.line.words, (Words{"p1", "ping", "--name", "-c", "--", "help"}));
    EXPECT_EQ(call.line.get("name", ""), "x");
  }
}

TEST(CommandLine, TakesAnOptionalValueOnlyBehindAnEqualsSign) {
  EXPECT_EQ(parsed({"status", "--wait"}).line.get("wait", "none"), "");
  EXPECT_EQ(parsed({"status", "--wait=5"}).line.get("wait", "none"), "5");
  EXPECT_EQ(refusal({"status", "--wait", "5"}),
            "flannelctl status: unexpected 5; usage: flannelctl status [OPTION…]");
}

TEST(CommandLine, RefusesInOneLine) {
  const std::pair<Words, std::string> cases[] = {
      {{"lab", "down", "f"},
       "flannelctl lab down: unexpected f; usage: flannelctl lab down [--name NAME]"},
      {{"lab", "up", "5"}, "flannelctl lab up: unexpected 5; usage: flannelctl lab up [OPTION…]"},
      {{"status", "extra"},
       "flannelctl status: unexpected extra; usage: flannelctl status [OPTION…]"},
      {{"lab", "up", "-n", "3"},
       "flannelctl lab up: unknown option -n; usage: flannelctl lab up [OPTION…]"},
      {{"lab", "up", "--node=3"},
       "flannelctl lab up: unknown option --node; did you mean --nodes?; usage: flannelctl lab up "
       "[OPTION…]"},
      {{"--nodes", "3", "status"},
       "flannelctl status: unknown option --nodes; usage: flannelctl status [OPTION…]"},
      {{"lab", "down", "--name"},
       "flannelctl lab down: option --name needs a value; usage: flannelctl lab down [--name "
       "NAME]"},
      {{"lab", "stop", "--name", "--kill", "n1"},
       "flannelctl lab stop: option --name needs a value; usage: flannelctl lab stop [--name NAME] "
       "[--kill] nI"},
      {{"lab", "stop", "--kill=now", "n1"},
       "flannelctl lab stop: option --kill takes no value; usage: flannelctl lab stop [--name "
       "NAME] [--kill] nI"},
      {{"lab", "down", "--name=a", "--name=b"},
       "flannelctl lab down: option --name is given twice; usage: flannelctl lab down [--name "
       "NAME]"},
      {{"lab", "exec", "p1"},
       "flannelctl lab exec: COMMAND… is missing; usage: flannelctl lab exec [--name NAME] "
       "nI|pI|out "
       "COMMAND…"},
      {{"stauts"},
       "flannelctl: unknown command stauts; did you mean status?; flannelctl --help lists them"},
      {{"ping"},
       "flannelctl: unknown command ping; did you mean lab ping?; flannelctl --help lists them"},
      {{"lab", "satus"},
       "flannelctl: unknown command lab satus; did you mean lab status?; flannelctl lab --help "
       "lists them"},
      {{"quite-another"},
       "flannelctl: unknown command quite-another; flannelctl --help lists them"},
      {{"a\nb"}, "flannelctl: unknown command a\\x0ab; flannelctl --help lists them"},
  };
  for (const auto& [arguments, text] : cases) {
    EXPECT_EQ(refusal(arguments), text);
  }
}

TEST(CommandLine, HelpsWhereverItIsAsked) {
  const std::string all = parsed({"--help"}).help;
  EXPECT_NE(all.find("lab exec nI|pI|out COMMAND…  run a command"), std::string::npos) << all;
  EXPECT_EQ(all.find("relay"), std::string::npos) << all;
  for (const Words& arguments : {Words{"-h"}, Words{"help"}}) {
    EXPECT_EQ(parsed(arguments).help, all);
  }
  const std::string lab = parsed({"lab", "--help"}).help;
  EXPECT_TRUE(lab.starts_with("Usage: flannelctl lab COMMAND\n")) << lab;
  EXPECT_EQ(parsed({"help", "lab"}).help, lab);
  EXPECT_EQ(parsed({"lab", "help"}).help, lab);
  for (const Command& command : all_commands()) {
    Words words{std::string(command.name)};
    if (const std::size_t blank = words[0].find(' '); blank != std::string::npos) {
      words = {words[0].substr(0, blank), words[0].substr(blank + 1)};
    }
    const auto with = [&words](const Words& before, const Words& behind) {
      Words out = before;
      out.insert(out.end(), words.begin(), words.end());
      out.insert(out.end(), behind.begin(), behind.end());
      return parsed(out);
    };
    const std::string help = with({}, {"--help"}).help;
    EXPECT_TRUE(help.starts_with(fmt::format("Usage: flannelctl {}", command.name))) << help;
    EXPECT_TRUE(with({}, {"--help"}).is_asked);
    EXPECT_EQ(with({}, {"-h"}).help, help);
    EXPECT_EQ(with({"help"}, {}).help, help);
    for (const Option& option : command.options) {
      EXPECT_NE(help.find(fmt::format("--{}", option.name)), std::string::npos) << help;
      EXPECT_FALSE(option.help.empty()) << command.name << " " << option.name;
    }
  }
}

TEST(CommandLine, ShowsWhatThereIsWhereNothingWasAsked) {
  for (const Words& arguments : {Words{}, Words{"lab"}}) {
    EXPECT_FALSE(parsed(arguments).is_asked);
    EXPECT_FALSE(parsed(arguments).help.empty());
  }
}

TEST(CommandLine, TellsItsVersion) {
  EXPECT_EQ(parsed({"--version"}).command->name, "version");
  EXPECT_EQ(parsed({"version"}).command->name, "version");
}

// An option before its command is read before the command is known.
TEST(Commands, AgreeAboutWhichOptionsHaveValues) {
  std::map<std::string_view, std::string_view> values;
  for (const Command& command : all_commands()) {
    for (const Option& option : command.options) {
      EXPECT_EQ(values.try_emplace(option.name, option.value).first->second, option.value)
          << option.name;
    }
  }
}

}  // namespace
}  // namespace flannel
