#include <doctest/doctest.h>

#include <cmath>
#include <cstdio>
#include <limits>

#ifndef _WIN32
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include "gguf_judge.h"
#include "gguf_models.h"

using namespace inlay;
using namespace inlay::gguf;
using namespace inlay::gguf::test;

namespace {

std::unique_ptr<Reader> read(const FileWriter& file) {
  const TemporaryFile temporary(file.bytes());  // a reader keeps the file open; it may go
  return Reader::open(temporary.name());
}

Failure failure_of(const std::string& path) {
  try {
    Reader::open(path);
  } catch (const Failure& failure) {
    return failure;
  }
  return {FailureCode::internal, "no failure"};
}

}  // namespace

TEST_CASE("scalars are read whatever type holds them exactly") {
  FileWriter file;
  file.set("i8", ValueType::i8, raw<int8_t>(-5));
  file.set("u16", ValueType::u16, raw<uint16_t>(65535));
  file.set("i64", ValueType::i64, raw<int64_t>(1) );
  file.set("u64", ValueType::u64, raw(~uint64_t{0}));
  file.f32("f32", 2.5f);
  file.set("f64", ValueType::f64, raw(12.0));
  file.set("nan", ValueType::f64, raw(std::numeric_limits<double>::quiet_NaN()));
  file.boolean("yes", true);
  file.text("text", "caf\xC3\xA9");
  const auto reader = read(file);
  CHECK(reader->integer("i8") == std::nullopt);
  CHECK(reader->number("i8") == -5);
  CHECK(reader->integer("u16") == 65535);
  CHECK(reader->integer("i64") == 1);
  CHECK(reader->boolean("i64") == true);
  CHECK(reader->integer("u64") == ~uint64_t{0});
  CHECK(reader->integer("f32") == std::nullopt);
  CHECK(reader->number("f32") == 2.5);
  CHECK(reader->integer("f64") == 12);
  CHECK(reader->integer("nan") == std::nullopt);
  CHECK(std::isnan(*reader->number("nan")));
  CHECK(reader->boolean("yes") == true);
  CHECK(reader->integer("yes") == 1);
  CHECK(reader->string("text") == std::string_view("caf\xC3\xA9"));
  CHECK(reader->string("f32") == std::nullopt);
  CHECK(reader->integer("absent") == std::nullopt);
  CHECK(reader->find("absent") == nullptr);
}

TEST_CASE("arrays are read by the kind of their elements") {
  FileWriter file;
  file.strings("strings", {"a", "", "ccc"});
  file.array<float>("floats", ValueType::f32, {1.5f, -2});
  file.array<double>("doubles", ValueType::f64, {0.25});
  file.array<int8_t>("bytes", ValueType::i8, {-1, 7});
  file.array<uint64_t>("wide", ValueType::u64, {1, ~uint64_t{0}});
  file.array<uint8_t>("bools", ValueType::boolean, {1, 0});
  const auto reader = read(file);
  CHECK(reader->strings("strings") == std::vector<std::string_view>{"a", "", "ccc"});
  CHECK(reader->strings("floats").empty());
  CHECK(reader->floats("floats") == std::vector<float>{1.5f, -2});
  CHECK(reader->floats("doubles") == std::vector<float>{0.25f});
  CHECK(reader->floats("bytes").empty());
  CHECK(reader->integers("bytes") == std::vector<int64_t>{-1, 7});
  CHECK(reader->integers("wide").empty());  // no int64 holds the second
  CHECK(reader->integers("bools") == std::vector<int64_t>{1, 0});
  CHECK(reader->integers("strings").empty());
}

TEST_CASE("tensors are found by name and read in part") {
  FileWriter file = tiny_model("bert");
  const std::string data = file.tensor("blk.1.ffn_up.weight").data;
  const auto reader = read(file);
  CHECK(reader->architecture() == "bert");
  CHECK(reader->hparam_key("block_count") == "bert.block_count");
  const Tensor* tensor = reader->tensor("blk.1.ffn_up.weight");
  REQUIRE(tensor != nullptr);
  CHECK(tensor->n_dims == 2);
  CHECK(tensor->ne[1] == 64);
  CHECK(tensor->ne[3] == 1);
  CHECK(tensor->bytes == data.size());
  CHECK(tensor->offset % reader->alignment() == 0);
  std::string part(100, '\0');
  reader->read(*tensor, 8, part.size(), part.data());
  CHECK(part == data.substr(8, 100));
  CHECK_THROWS_AS(reader->read(*tensor, data.size() - 1, 2, part.data()), Failure);
  CHECK_THROWS_AS(reader->read(*tensor, ~uint64_t{0}, 2, part.data()), Failure);
  CHECK(reader->tensor("blk.2.ffn_up.weight") == nullptr);
}

TEST_CASE("corrections show in every later answer and in the rewritten file") {
  const auto reader = read(tiny_model("qwen3"));
  reader->set_integer("qwen3.context_length", 128);
  reader->set_number("qwen3.rope.freq_base", 5000);
  reader->set_boolean("tokenizer.ggml.add_eos_token", false);
  reader->set_string("general.name", "corrected");
  reader->set_bytes("note", std::string("\0\1", 2));
  reader->erase("tokenizer.ggml.bos_token_id");
  reader->rename_tensor("output_norm.weight", "last_norm.weight");
  reader->rename_keys("qwen3.", "other.");
  reader->set_string("general.architecture", "other");

  const TemporaryFile copy("");
  std::FILE* stream = std::fopen(copy.name().c_str(), "wb");
  write_model(*reader, stream);
  std::fclose(stream);
  const auto rewritten = Reader::open(copy.name());
  CHECK(header(*rewritten) == header(*reader));
  for (const Reader* one : {reader.get(), rewritten.get()}) {
    CHECK(one->architecture() == "other");
    CHECK(one->integer(one->hparam_key("context_length")) == 128);
    CHECK(one->number("other.rope.freq_base") == 5000);
    CHECK(one->boolean("tokenizer.ggml.add_eos_token") == false);
    CHECK(one->string("general.name") == std::string_view("corrected"));
    CHECK(one->integers("note") == std::vector<int64_t>{0, 1});
    CHECK(one->find("tokenizer.ggml.bos_token_id") == nullptr);
    CHECK(one->tensor("output_norm.weight") == nullptr);
    CHECK(one->strings("tokenizer.ggml.tokens").size() == 262);
  }
  for (const Tensor& tensor : reader->tensors()) {
    const Tensor* same = rewritten->tensor(tensor.name);
    REQUIRE(same != nullptr);
    std::string before(tensor.bytes, '\0'), after(same->bytes, '\0');
    reader->read(tensor, 0, tensor.bytes, before.data());
    rewritten->read(*same, 0, same->bytes, after.data());
    CHECK(before == after);
  }
}

TEST_CASE("a rewritten regular file is the file itself") {
  for (const std::string& name : tiny_model_names()) {
    const std::string bytes = tiny_model(name).bytes();
    const TemporaryFile file(bytes);
    const auto reader = Reader::open(file.name());
    CHECK(header(*reader) == bytes.substr(0, reader->data_start()));
  }
}

TEST_CASE("what is no regular file is refused without waiting") {
  const auto folder = std::filesystem::temp_directory_path();
  CHECK(failure_of((folder / "inlay-no-such-file.gguf").string()).code == FailureCode::model_not_found);
  CHECK(failure_of(folder.string()).code == FailureCode::model_not_found);
  CHECK(failure_of(std::string("a\0b", 3)).code == FailureCode::model_not_found);
#ifndef _WIN32
  CHECK(failure_of("/dev/zero").rule == "GGUF_FILE");
  const TemporaryFile name("");
  const std::string pipe = name.name() + ".pipe", loop = name.name() + ".loop", link = name.name() + ".link";
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(failure_of(pipe).rule == "GGUF_FILE");
  REQUIRE(symlink(loop.c_str(), loop.c_str()) == 0);
  CHECK(failure_of(loop).code == FailureCode::model_not_found);
  const TemporaryFile model(tiny_model("bert").bytes());
  REQUIRE(symlink(model.name().c_str(), link.c_str()) == 0);
  CHECK(Reader::open(link)->architecture() == "bert");
  for (const std::string& one : {pipe, loop, link}) unlink(one.c_str());
#endif
}

TEST_CASE("names that are long or not ASCII open") {
  const TemporaryFile model(tiny_model("bert").bytes());
  const auto folder = std::filesystem::temp_directory_path();
  for (const std::string& name : {std::string("inlay \xE6\x97\xA5\xE6\x9C\xAC \xF0\x9F\x98\x80.gguf"),
                                  "inlay-" + std::string(240, 'n') + ".gguf"}) {
    const auto path = folder / std::filesystem::u8path(name);
    std::filesystem::copy_file(model.name(), path);
    CHECK(Reader::open(path.u8string())->architecture() == "bert");
    std::filesystem::remove(path);
  }
}

TEST_CASE("a file that shrinks while it is open is told apart from one that was read") {
  const TemporaryFile file(tiny_model("bert").bytes());
  const auto reader = Reader::open(file.name());
  std::filesystem::resize_file(file.name(), reader->data_start() + 100);
  try {
    validate(*reader, {true, false, 0});
    FAIL("a shrunken file passed");
  } catch (const Failure& failure) {
    CHECK(failure.rule == "GGUF_TRUNCATED");
  }
}

TEST_CASE("a deleted or replaced file stays readable through its reader") {
  auto file = std::make_unique<TemporaryFile>(tiny_model("bert").bytes());
  const auto reader = Reader::open(file->name());
  file.reset();
  CHECK_NOTHROW(validate(*reader, {true, false, 0}));
}

TEST_CASE("what a wrong file is shows in the message") {
  const std::pair<std::string, const char*> files[] = {
      {"<!doctype html><title>Not found</title>", "HTML"},
      {"version https://git-lfs.github.com/spec/v1\noid", "git lfs pull"},
      {"PK\x03\x04 and so on", "zip"},
      {raw<uint64_t>(1000) + "{\"a\":1}", "safetensors"},
      {"\x1F\x8B\x08 and so on", "gzip"},
      {"\x80\x04 and so on", "pickle"},
      {std::string(1000, '\0'), "zeros"},
  };
  for (const auto& [bytes, word] : files) {
    const Outcome outcome = judge_bytes(bytes);
    CHECK(outcome.rule == "GGUF_MAGIC");
    CHECK_MESSAGE(outcome.message.find(word) != std::string::npos, outcome.message);
  }
}
