// LTS_API marks what the shared libraries of LTS show. Everything else in them is hidden.
#ifndef LTS_EXPORT_H_
#define LTS_EXPORT_H_

#if defined(__GNUC__)
#define LTS_API __attribute__((visibility("default")))
#else
#define LTS_API
#endif

#endif  // LTS_EXPORT_H_
