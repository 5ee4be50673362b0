// viewer.cpp - a C++ program that offers a function to its scripts. A unique_ptr owns the runtime.
// Exceptions become Lua errors, and Lua errors become exceptions. The argument is the URL of an
// Orthanc.
#include <modalua.h>

#include <functional>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>

namespace
{

struct destroy {
    void operator()(modalua_runtime *rt) const noexcept
    {
        modalua_destroy(rt);
    }
};
using runtime = std::unique_ptr<modalua_runtime, destroy>;

// The error of a script. The field json has all its details: status, kind, traceback, ...
struct script_error : std::runtime_error {
    explicit script_error(modalua_runtime *rt)
        : std::runtime_error(modalua_last_error(rt)), json(modalua_last_error_json(rt))
    {
    }
    std::string json;
};

runtime make(const char *url)
{
    modalua_config config;
    modalua_config_init(&config);
    config.url = url;
    modalua_runtime *rt = nullptr;
    if (int status = modalua_create(&rt, &config); status != MODALUA_OK)
        throw std::runtime_error(modalua_strerror(status));
    return runtime(rt);
}

void run(modalua_runtime *rt, const std::string &script)
{
    if (modalua_run_string(rt, "=viewer", script.data(), script.size()) != MODALUA_OK)
        throw script_error(rt);
}

// Takes the arguments as a JSON array, and returns the result as a JSON value.
using function = std::function<std::string(const std::string &arguments)>;

// C code calls it, so no exception may leave it: the script gets nil and an error.
extern "C" void call(void *user, const char *arguments, modalua_reply *reply) noexcept
try {
    const std::string result = (*static_cast<const function *>(user))(arguments);
    if (modalua_reply_json(reply, result.c_str()) != MODALUA_OK)
        modalua_reply_error(reply, "viewer", "the result is not JSON");
} catch (const std::exception &e) {
    modalua_reply_error(reply, "viewer", e.what());
} catch (...) {
    modalua_reply_error(reply, "viewer", "unknown exception");
}

} // namespace

int main(int argc, char **argv)
try {
    int shown = 0;
    // Declared before the runtime, so that it is destroyed after the runtime.
    function show = [&shown](const std::string &arguments) {
        if (arguments == "[null]")
            throw std::invalid_argument("nothing to show");
        std::cout << "showing " << arguments << '\n';
        return std::to_string(++shown);
    };
    runtime rt = make(argc > 1 ? argv[1] : nullptr);
    if (modalua_register(rt.get(), "viewer.show", call, &show) != MODALUA_OK)
        throw script_error(rt.get());
    run(rt.get(), "assert(viewer.show(assert(require 'modalua'.connect():system()).Version) == 1)");
    try {
        run(rt.get(), "assert(viewer.show(nil))");
    } catch (const script_error &e) {
        std::cout << e.json << '\n';
    }
    return 0;
} catch (const std::exception &e) {
    std::cerr << e.what() << '\n';
    return 1;
}
