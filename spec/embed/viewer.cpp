// viewer.cpp - a C++ program that offers its scripts a function: the runtime is owned by a
// unique_ptr, exceptions stop at the border in both directions. Its argument is the URL of an Orthanc.
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

// What a script ended in; json has all of it: status, kind, traceback, ...
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

// From the arguments, a JSON array, to the result, a JSON value.
using function = std::function<std::string(const std::string &arguments)>;

// No exception may leave it: the script gets nil and an error.
extern "C" void call(void *user, const char *arguments, modalua_reply *reply) noexcept
try {
    const std::string result = (*static_cast<const function *>(user))(arguments);
    if (modalua_reply_json(reply, result.c_str()) != MODALUA_OK)
        modalua_reply_error(reply, "viewer", "the result is no JSON");
} catch (const std::exception &e) {
    modalua_reply_error(reply, "viewer", e.what());
} catch (...) {
    modalua_reply_error(reply, "viewer", "an exception");
}

} // namespace

int main(int argc, char **argv)
try {
    int shown = 0;
    // It outlives the runtime, which is declared after it and destroyed before.
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
