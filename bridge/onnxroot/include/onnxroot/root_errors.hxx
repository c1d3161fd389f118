/// \file root_errors.hxx
/// \brief ROOT's errors as exceptions.
//
// SPDX-License-Identifier: BSD-3-Clause

#ifndef ONNXROOT_ROOT_ERRORS_HXX
#define ONNXROOT_ROOT_ERRORS_HXX

#include "error.hxx"

#include <TError.h>

#include <atomic>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

namespace onnxroot::detail {

/// While it lives, ROOT's fatal errors in this thread become exceptions, and others are kept, not printed.
///
/// ROOT ends the process where a compressed header contradicts itself.
class RootErrors {
public:
   RootErrors() : fLock(Mutex()), fBefore(Current())
   {
      Current() = this;
      Owner() = std::this_thread::get_id();
      const auto before = ::SetErrorHandler(&Handle);
      if (!fBefore)
         Others() = before;
   }
   RootErrors(const RootErrors &) = delete;
   RootErrors &operator=(const RootErrors &) = delete;
   ~RootErrors()
   {
      Current() = fBefore;
      if (fBefore)
         return;
      Owner() = std::thread::id();
      ::SetErrorHandler(Others());
   }
   /// Run a function; whatever it throws, or null, becomes an Error.
   template <typename F>
   static auto Run(const Where &where, const std::string &part, const std::string &expected, F &&function)
   {
      RootErrors errors;
      std::string found = "something else";
      try {
         if (auto result = function())
            return result;
      } catch (const Error &) {
         throw;
      } catch (const std::exception &error) {
         found = error.what();
         found = found.substr(0, found.find('\n'));
      }
      where.Fail(part, expected, found + (errors.fText.empty() ? "" : " (" + errors.fText + ")"),
                 "it is missing or damaged");
   }

private:
   static std::recursive_mutex &Mutex()
   {
      static std::recursive_mutex mutex;
      return mutex;
   }
   static RootErrors *&Current() // touched by the thread that holds the lock alone
   {
      static RootErrors *current = nullptr;
      return current;
   }
   static std::atomic<std::thread::id> &Owner()
   {
      static std::atomic<std::thread::id> owner{std::thread::id()};
      return owner;
   }
   static std::atomic<::ErrorHandlerFunc_t> &Others() // the handler of everybody else
   {
      static std::atomic<::ErrorHandlerFunc_t> handler{&::DefaultErrorHandler};
      return handler;
   }
   static void Handle(int level, Bool_t abort, const char *location, const char *text)
   {
      if (Owner().load() != std::this_thread::get_id())
         return Others().load()(level, abort, location, text);
      RootErrors *const errors = Current();
      if (level >= kError || abort)
         errors->fText = std::string(location ? location : "") + ": " + (text ? text : "");
      if (level >= kFatal || abort)
         throw std::runtime_error("a contradiction in the file");
   }
   std::unique_lock<std::recursive_mutex> fLock;
   RootErrors *fBefore;
   std::string fText;
};

} // namespace onnxroot::detail

#endif
