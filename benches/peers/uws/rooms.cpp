// The rooms of the protocol in C++ on uWebSockets, whose publish does the fan-out: no checks, no
// limits, no store, no acks. `rooms PORT`
#include <App.h>

#include <iostream>
#include <map>
#include <memory>
#include <string>

struct Room;
struct State {
    std::shared_ptr<Room> room;
    std::string peer_id;
};
using Socket = uWS::WebSocket<false, true, State>;

struct Room {
    std::string code, host_id, document;
    std::map<std::string, std::string> peers; // JSON by quoted peer id
};

// The raw JSON value of a key, as it came; good enough for what the load generator sends.
static std::string_view raw(std::string_view text, std::string_view key) {
    size_t at = text.find("\"" + std::string(key) + "\":");
    if (at == std::string_view::npos) return "null";
    size_t begin = at + key.size() + 3, depth = 0;
    bool quoted = false;
    for (size_t end = begin; end < text.size(); end++) {
        char c = text[end];
        if (quoted) {
            if (c == '\\') end++;
            else if (c == '"') quoted = false;
        } else if (c == '"') quoted = true;
        else if (c == '{' || c == '[') depth++;
        else if ((c == ',' || c == '}' || c == ']') && depth == 0) return text.substr(begin, end - begin);
        else if (c == '}' || c == ']') depth--;
    }
    return text.substr(begin);
}

static std::string unquoted(std::string_view json) {
    return std::string(json.size() >= 2 ? json.substr(1, json.size() - 2) : json);
}

static std::map<std::string, std::shared_ptr<Room>> rooms;

static std::shared_ptr<Room> room_of(const std::string &code) {
    auto &room = rooms[code];
    if (!room) room = std::make_shared<Room>(Room{code, "host-" + code, "", {}});
    return room;
}

static void join(Socket *ws, std::string_view text) {
    auto room = room_of(unquoted(raw(text, "room_code")));
    std::string id(raw(text, "peer_id"));
    bool is_host = raw(text, "is_host") == "true" && unquoted(id) == room->host_id;
    std::string peer = "{\"id\":" + id + ",\"joined_at\":\"2026-01-01T00:00:00.000Z\",\"is_host\":" +
                       (is_host ? "true" : "false") + ",\"metadata\":" + std::string(raw(text, "metadata")) + "}";
    *ws->getUserData() = {room, id};
    room->peers[id] = peer;
    ws->send("{\"type\":\"connected\",\"peer_id\":" + id + ",\"room_code\":\"" + room->code + "\"}", uWS::TEXT);
    std::string info = "{\"type\":\"room_info\",\"room_code\":\"" + room->code + "\",\"host_id\":\"" + room->host_id + "\",\"peers\":[";
    for (auto &[_, one] : room->peers) info.append(info.back() == '[' ? "" : ",").append(one);
    ws->send(info + "]}", uWS::TEXT);
    if (!room->document.empty()) ws->send(room->document, uWS::TEXT);
    ws->subscribe(room->code);
    ws->publish(room->code, "{\"type\":\"peer_joined\",\"peer\":" + peer + "}", uWS::TEXT);
}

static void act(Socket *ws, std::string_view text) {
    auto &[room, id] = *ws->getUserData();
    std::string_view action = raw(text, "action");
    if (action == "\"join\"") join(ws, text);
    else if (action == "\"ping\"") ws->send("{\"type\":\"pong\"}", uWS::TEXT);
    else if (!room) return;
    else if (action == "\"broadcast\"") {
        ws->publish(room->code, "{\"type\":\"data\",\"from\":" + id + ",\"data\":" + std::string(raw(text, "data")) + "}", uWS::TEXT);
    } else if (action == "\"sync_document\"") {
        room->document = "{\"type\":\"document_sync\",\"document\":" + std::string(raw(text, "document")) + "}";
        ws->publish(room->code, room->document, uWS::TEXT);
    }
}

int main(int, char **arguments) {
    uWS::App app;
    app.post("/api/rooms", [](auto *response, auto *) {
        response->onAborted([] {});
        response->onData([response, body = std::string()](std::string_view part, bool last) mutable {
            body.append(part);
            if (!last) return;
            auto room = room_of(unquoted(raw(body, "desired_room_code")));
            response->writeStatus("201 Created")->writeHeader("Content-Type", "application/json");
            response->end("{\"success\":true,\"room_code\":\"" + room->code + "\",\"host_id\":\"" + room->host_id + "\"}", true);
        });
    });
    app.ws<State>("/ws", {
        .maxPayloadLength = 16 << 20,
        .maxBackpressure = 64 << 20,
        .message = [](auto *ws, std::string_view text, uWS::OpCode) { act(ws, text); },
        .close = [&app](auto *ws, int, std::string_view) {
            auto &[room, id] = *ws->getUserData();
            if (!room) return;
            room->peers.erase(id);
            app.publish(room->code, "{\"type\":\"peer_left\",\"peer_id\":" + id + "}", uWS::TEXT);
        },
    });
    app.listen("127.0.0.1", std::stoi(arguments[1]), [](auto *) {}).run();
}
