// Several threads at once.
#include <atomic>
#include <cstdint>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

// How to run a function on several threads at once, as the OpenMP runtime of the caller does it:
// threads that wait for work spin for a while, and would take the cores from threads of our own.
struct Team {
  void (*run)(void (*function)(void *), void *data, unsigned threads, unsigned flags);  // or null
};

// Call work(0) ... work(count - 1), each on a thread of its own. False where memory ran out.
template <class Work>
static bool in_parallel(const Team &team, int64_t count, const Work &work) {
  std::atomic<bool> enough{true};
  std::atomic<int64_t> next{0};
  // A team may turn out smaller than was asked for: each thread takes what is left.
  auto take = [&] {
    for (int64_t index; (index = next++) < count;) {
      try {
        work(index);
      } catch (const std::bad_alloc &) {
        enough = false;
      }
    }
  };
  if (count > 1 && team.run) {
    using Take = decltype(take);
    team.run([](void *data) { (*static_cast<Take *>(data))(); }, &take, unsigned(count), 0);
    return enough;
  }
  std::vector<std::thread> others;
  try {
    for (int64_t i = 1; i < count; i++) others.emplace_back(take);
  } catch (const std::system_error &) {
    // No more threads are to be had: those that are there do the rest.
  }
  take();
  for (auto &other : others) other.join();
  return enough;
}
