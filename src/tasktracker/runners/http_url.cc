#include "tasktracker/runners/http_url.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <memory>

namespace lts::runners {
namespace {

using Handle = std::unique_ptr<CURLU, decltype(&curl_url_cleanup)>;

// Empty when the URL has no such part.
std::string Part(CURLU* url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, flags) != CURLUE_OK) return {};
  const std::unique_ptr<char, decltype(&curl_free)> owned(text, &curl_free);
  return text;
}

}  // namespace

Result<HttpUrl> ParseHttpUrl(const std::string& text) {
  const Handle url(curl_url(), &curl_url_cleanup);
  if (url == nullptr) return Status::ResourceExhausted("no memory for a URL");
  const CURLUcode code = curl_url_set(url.get(), CURLUPART_URL, text.c_str(), CURLU_DISALLOW_USER);
  if (code == CURLUE_USER_NOT_ALLOWED) {
    return Status::InvalidArgument("a user in a URL is not taken, use a header");
  }
  if (code != CURLUE_OK) return Status::InvalidArgument(curl_url_strerror(code));
  curl_url_set(url.get(), CURLUPART_FRAGMENT, nullptr, 0);
  HttpUrl parsed;
  parsed.scheme = Part(url.get(), CURLUPART_SCHEME);
  if (parsed.scheme != "http" && parsed.scheme != "https") {
    return Status::InvalidArgument("expected http:// or https://");
  }
  parsed.host = Part(url.get(), CURLUPART_HOST);
  const bool ascii = std::all_of(parsed.host.begin(), parsed.host.end(),
                                 [](char c) { return c > ' ' && static_cast<int>(c) < 0x7f; });
  if (parsed.host.empty() || !ascii) {
    return Status::InvalidArgument("expected a host in ASCII characters (punycode)");
  }
  if (!Part(url.get(), CURLUPART_ZONEID).empty()) {
    return Status::InvalidArgument("an address with a zone is not taken");
  }
  std::transform(parsed.host.begin(), parsed.host.end(), parsed.host.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const std::string port = Part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  std::from_chars(port.data(), port.data() + port.size(), parsed.port);
  if (parsed.port <= 0) return Status::InvalidArgument("expected a port of 1 … 65535");
  parsed.port_given = !Part(url.get(), CURLUPART_PORT).empty();
  parsed.path = Part(url.get(), CURLUPART_PATH);
  parsed.query = Part(url.get(), CURLUPART_QUERY);
  parsed.text = Part(url.get(), CURLUPART_URL);
  if (parsed.text.empty()) return Status::InvalidArgument("not a URL");
  return parsed;
}

}  // namespace lts::runners
