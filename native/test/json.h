#pragma once

#include <cstdint>
#include <cstdlib>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tokenizer/utf8.h"

// Just enough JSON to read the golden files of the reference models.
namespace json {

struct Value {
  double number = 0;
  std::string text;
  std::vector<Value> items;
  std::map<std::string, Value> members;

  bool has(const std::string& key) const { return members.count(key) > 0; }
  const Value& operator[](const std::string& key) const { return members.at(key); }
};

class Parser {
 public:
  explicit Parser(std::string_view text) : p(text.data()), end(p + text.size()) {}

  Value parse() {
    Value value = parse_value();
    skip_space();
    if (p != end) fail();
    return value;
  }

 private:
  [[noreturn]] static void fail() { throw std::runtime_error("not JSON"); }

  void skip_space() {
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
  }

  char peek() {
    skip_space();
    if (p == end) fail();
    return *p;
  }

  void expect(char c) {
    if (peek() != c) fail();
    p++;
  }

  bool take(char c) {
    if (peek() != c) return false;
    p++;
    return true;
  }

  Value parse_value() {
    Value value;
    const char c = peek();
    if (c == '{') {
      p++;
      if (take('}')) return value;
      do {
        std::string key = parse_string();
        expect(':');
        value.members.emplace(std::move(key), parse_value());
      } while (take(','));
      expect('}');
    } else if (c == '[') {
      p++;
      if (take(']')) return value;
      do {
        value.items.push_back(parse_value());
      } while (take(','));
      expect(']');
    } else if (c == '"') {
      value.text = parse_string();
    } else if (c == 't' || c == 'f' || c == 'n') {
      while (p < end && *p >= 'a' && *p <= 'z') p++;
      value.number = c == 't';
    } else {
      const char* const begin = p;
      while (p < end && std::string_view("+-.eE0123456789").find(*p) != std::string_view::npos) p++;
      if (p == begin) fail();
      value.number = std::strtod(std::string(begin, p).c_str(), nullptr);
    }
    return value;
  }

  char32_t parse_hex4() {
    if (end - p < 4) fail();
    const char32_t c = static_cast<char32_t>(std::strtoul(std::string(p, 4).c_str(), nullptr, 16));
    p += 4;
    return c;
  }

  std::string parse_string() {
    expect('"');
    std::string text;
    while (true) {
      if (p == end) fail();
      const char c = *p++;
      if (c == '"') return text;
      if (c != '\\') {
        text += c;
        continue;
      }
      if (p == end) fail();
      const char escape = *p++;
      const std::string_view names = "\"\\/bfnrt";
      const size_t at = names.find(escape);
      if (at != std::string_view::npos) {
        text += "\"\\/\b\f\n\r\t"[at];
        continue;
      }
      if (escape != 'u') fail();
      char32_t code = parse_hex4();
      if (code >= 0xD800 && code < 0xDC00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u') {
        p += 2;
        code = 0x10000 + ((code - 0xD800) << 10) + (parse_hex4() - 0xDC00);
      }
      inlay::utf8::append(text, code);
    }
  }

  const char* p;
  const char* end;
};

}  // namespace json
