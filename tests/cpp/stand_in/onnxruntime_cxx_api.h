// Stands in for ONNX Runtime's own header, which its wheel does not bring, where session.cxx is tested.
//
// It calls the wheel's real library through the C interface: a table of functions whose order, as its
// source says, must not change, because existing programs depend on it.

#ifndef STAND_IN_ONNXRUNTIME_CXX_API_H
#define STAND_IN_ONNXRUNTIME_CXX_API_H

#include <cstddef>
#include <cstdint>
#include <stdexcept>

struct OrtApiBase {
   void *const *(*GetApi)(std::uint32_t version);
   const char *(*GetVersionString)();
};
extern "C" const OrtApiBase *OrtGetApiBase();

namespace Ort {

enum Place { kGetErrorMessage = 2, kCreateEnv = 3, kCreateSessionFromArray = 8, kCreateSessionOptions = 10,
             kSessionGetInputCount = 30, kSessionGetOutputCount = 31 };

template <typename Result, typename... Arguments>
Result Call(Place place, Arguments... arguments)
{
   using Function = Result (*)(Arguments...);
   return reinterpret_cast<Function>(OrtGetApiBase()->GetApi(1)[place])(arguments...);
}

template <typename... Arguments>
void Check(Place place, Arguments... arguments)
{
   if (const void *status = Call<void *>(place, arguments...))
      throw std::runtime_error(Call<const char *>(kGetErrorMessage, status));
}

struct Env {
   Env() { Check(kCreateEnv, 2, "", &fObject); } // 2: warnings and errors
   void *fObject = nullptr;
};
struct SessionOptions {
   SessionOptions() { Check(kCreateSessionOptions, &fObject); }
   void *fObject = nullptr;
};
struct Session {
   Session(const Env &env, const void *data, std::size_t nbytes, const SessionOptions &options)
   {
      Check(kCreateSessionFromArray, static_cast<const void *>(env.fObject), data, nbytes,
            static_cast<const void *>(options.fObject), &fObject);
   }
   std::size_t GetInputCount() const { return Count(kSessionGetInputCount); }
   std::size_t GetOutputCount() const { return Count(kSessionGetOutputCount); }

private:
   std::size_t Count(Place place) const
   {
      std::size_t count = 0;
      Check(place, static_cast<const void *>(fObject), &count);
      return count;
   }
   void *fObject = nullptr;
};

} // namespace Ort

#endif
