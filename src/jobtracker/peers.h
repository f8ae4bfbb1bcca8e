// The ways to the other JobTrackers of the cluster.
#pragma once

#include <fmt/core.h>

#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <type_traits>
#include <utility>

#include "lts/status.h"
#include "rpc/channel.h"

namespace lts {

// One channel to each address, made when it is first needed. Thread-safe; no call blocks but Keep
// and the destructor, which wait for callbacks of the channels that go: not from a callback.
class Peers {
 public:
  explicit Peers(rpc::ChannelFactory factory) : factory_(std::move(factory)) {}

  // Calls a method of the JobTracker at `address`; `done` as of rpc::Channel.
  template <typename Request, typename Response>
  void Call(const std::string& address,
            void (rpc::Channel::*method)(const Request&, std::int64_t,
                                         rpc::Channel::Done<Response>),
            const Request& request, std::int64_t deadline_ms,
            std::type_identity_t<rpc::Channel::Done<Response>> done) {
    {
      const std::shared_lock lock(mutex_);
      const auto found = channels_.find(address);
      if (found != channels_.end()) {
        ((*found->second).*method)(request, deadline_ms, std::move(done));
        return;
      }
    }
    {
      const std::unique_lock lock(mutex_);
      if (!closed_) {
        auto& channel = channels_[address];
        if (channel == nullptr) channel = factory_(address);
      }
    }
    {
      const std::shared_lock lock(mutex_);
      const auto found = channels_.find(address);
      if (found != channels_.end()) {
        ((*found->second).*method)(request, deadline_ms, std::move(done));
        return;
      }
    }
    done(Status::Unavailable(fmt::format("the JobTracker at {} has just gone", address)), {});
  }

  // Cancels what is under way, and refuses what comes from now on.
  void Close() {
    {
      const std::unique_lock lock(mutex_);
      closed_ = true;
    }
    Keep({});
  }
  // Drops the ways to all others.
  void Keep(const std::set<std::string>& addresses) {
    std::map<std::string, std::unique_ptr<rpc::Channel>> gone;
    {
      const std::unique_lock lock(mutex_);
      for (auto it = channels_.begin(); it != channels_.end();) {
        if (addresses.contains(it->first)) {
          ++it;
        } else {
          gone.insert(channels_.extract(it++));
        }
      }
    }
  }

 private:
  const rpc::ChannelFactory factory_;
  std::shared_mutex mutex_;
  bool closed_ = false;
  std::map<std::string, std::unique_ptr<rpc::Channel>> channels_;
};

}  // namespace lts
