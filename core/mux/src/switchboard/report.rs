//! What a hub tells about itself, in the reference's JSON.

use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use sluis_core::Wall;
use sluis_core::time::iso;

use super::channel::Channel;
use super::frame::Recent;
use super::{ChannelId, Party, Refusal, SocketId, Switchboard, Transport};
use crate::agent::{echoed, normalise};
use crate::intents::policy_of;
use crate::write::{Object, put_hex};

/// Most channels in one list.
const MAX_LISTED: usize = 1024;

impl Switchboard {
    pub(super) fn route_json(&self, channel: &Channel) -> String {
        let (backend, description) = self.intents.route(channel.route, &channel.intent);
        route(backend, &description)
    }

    /// Where the frames of a channel go.
    pub(crate) fn route_of(&self, id: ChannelId) -> Option<String> {
        self.channels.get(id).map(|channel| self.route_json(channel))
    }

    /// The channel, if it is this party's business.
    fn channel_of(&self, party: Party<'_>, id: ChannelId) -> Result<&Channel, Refusal> {
        let slot = self.channels.find(id).ok_or(Refusal::NotFound)?;
        self.direction(slot, party)?;
        self.channels.at(slot).ok_or(Refusal::NotFound)
    }

    /// Whether this party can send on a channel.
    pub(crate) fn is_open(&self, party: Party<'_>, id: ChannelId) -> bool {
        self.channel_of(party, id).is_ok_and(Channel::is_open)
    }

    /// The answer to an opening; `mac` with what is needed to check tags.
    pub(crate) fn opened_json(&self, id: ChannelId, event: bool, mac: bool) -> Option<String> {
        let channel = self.channels.get(id)?;
        let tag = channel.tags.back()?;
        let object = if event { Object::event("channel_opened") } else { Object::new() };
        let object = object.text("channel_id", &id.to_string()).text("intent", &channel.intent);
        let mut object = object.json("route", &self.route_json(channel));
        if !event {
            object =
                object.text("state", "open").text("agent", &channel.agent_name).text("target", &channel.target_name);
        }
        let mut json = object.hex("tbz_hash", tag).finish();
        if mac {
            json.pop();
            json.push_str(&self.mac_members(channel));
            json.push('}');
        }
        Some(json)
    }

    /// What `close` answers.
    pub(crate) fn closed_json(&self, id: ChannelId) -> Option<String> {
        let channel = self.channels.get(id)?;
        let reason = channel.closed.as_ref().map_or("", |closed| &*closed.reason);
        let object = Object::new().text("channel_id", &id.to_string()).text("state", "closed").text("reason", reason);
        let object = object.number("duration_frames", channel.frames()).number("bytes_transferred", channel.bytes);
        let object = object.number("tbz_chain_length", channel.tag_count);
        Some(object.json("bandwidth", &self.bandwidth_json(channel)).finish())
    }

    fn bandwidth_json(&self, channel: &Channel) -> String {
        let policy = policy_of(channel.budget);
        let tokens = self.agents.at(channel.agent).map_or(policy.capacity(), |agent| agent.tokens(channel.budget));
        let object = Object::new().number("priority", policy.priority.into());
        let object = object.number("max_bytes_per_sec", policy.max_bytes_per_sec);
        let object = object.number("burst_bytes", policy.burst_bytes).bool("preemptible", policy.preemptible);
        let object = object.number("bytes_allowed", channel.spent.bytes_allowed);
        let object = object.number("bytes_throttled", channel.spent.bytes_throttled);
        object.number("frames_throttled", channel.spent.frames_throttled).number("tokens_remaining", tokens).finish()
    }

    /// All about one channel.
    pub(crate) fn detail_json(&self, party: Party<'_>, id: ChannelId) -> Result<String, Refusal> {
        let channel = self.channel_of(party, id)?;
        let object = Object::new().text("id", &id.to_string()).text("agent", &channel.agent_name);
        let object = object.text("target", &channel.target_name).text("intent", &channel.intent);
        let object = object.json("route", &self.route_json(channel)).text("state", state(channel));
        let closed = channel.closed.as_ref().map(|closed| time(closed.wall)).unwrap_or_default();
        let object = object.json("metadata", channel.metadata()).text("opened_at", &time(channel.opened));
        let object = object.text("closed_at", &closed).text("last_activity", &time(channel.last_activity));
        let object = object.number("frames_sent", channel.out.frames).number("frames_received", channel.back.frames);
        let object = object.number("bytes_transferred", channel.bytes);
        let object = object.list("tbz_chain", channel.tags.iter().map(|tag| hex(tag)));
        let object = object.json("bandwidth", &self.bandwidth_json(channel));
        Ok(object.list("recent_frames", channel.recent.iter().map(|frame| recent_json(channel, frame))).finish())
    }

    /// The open channels of an agent, oldest first.
    pub(crate) fn channels_json(&self, agent: &str) -> String {
        let name = if agent.is_empty() { self.config.agent.clone() } else { normalise(agent) };
        let slot = self.agents.find(&name);
        let channels: Vec<&Channel> =
            slot.into_iter().flat_map(|slot| self.channels_of(slot, None)).map(|(_, channel)| channel).collect();
        let rows = channels.iter().map(|channel| {
            let object = Object::new().text("id", &channel.id.to_string()).text("target", &channel.target_name);
            let object = object.text("intent", &channel.intent).json("route", &self.route_json(channel));
            times_and_counts(object, channel)
        });
        let object = Object::new().text("agent", &echoed(agent)).list("channels", rows);
        object.number("count", channels.len() as u64).finish()
    }

    /// The channels that were opened to an agent, oldest first, at most 1,024; `intent` exactly, where it is not empty.
    pub(crate) fn by_target_json(&self, target: &str, intent: Option<&str>, include_closed: bool) -> String {
        // The reference looks for this name as it is, white space included.
        let name = echoed(target);
        let slot = self.agents.find(&name);
        let list = slot.and_then(|slot| self.agents.at(slot)).map(|agent| &agent.incoming);
        let slots = list.into_iter().flat_map(|list| list.iter(&self.channels.slab));
        let wanted = intent.filter(|intent| !intent.is_empty());
        let matching = slots.filter_map(|slot| self.channels.at(slot)).filter(|channel| {
            (include_closed || channel.is_open()) && wanted.is_none_or(|intent| *channel.intent == *intent)
        });
        let channels: Vec<&Channel> = matching.take(MAX_LISTED).collect();
        let rows = channels.iter().map(|channel| {
            let object = Object::new().text("id", &channel.id.to_string()).text("agent", &channel.agent_name);
            let object = object.text("target", &channel.target_name).text("intent", &channel.intent);
            times_and_counts(object.text("state", state(channel)), channel)
        });
        let object = Object::new().text("target", &name);
        let object = match intent {
            Some(intent) => object.text("intent_filter", intent),
            None => object.json("intent_filter", "null"),
        };
        let object = object.bool("include_closed", include_closed).list("channels", rows);
        object.number("count", channels.len() as u64).finish()
    }

    /// What a socket has opened.
    pub(crate) fn socket_list_json(&self, socket: SocketId) -> String {
        let agent = self.sockets.get(socket).map(|socket| socket.agent);
        let channels = agent.into_iter().flat_map(|agent| self.channels_of(agent, Some(socket)));
        let rows = channels.map(|(_, channel)| {
            let object = Object::new().text("id", &channel.id.to_string()).text("target", &channel.target_name);
            object.text("intent", &channel.intent).number("frames_sent", channel.out.frames).finish()
        });
        Object::event("channel_list").list("channels", rows).finish()
    }

    /// Every intent that is known.
    pub(crate) fn intents_json(&self) -> String {
        let intents = self.intents.iter().fold(Object::new(), |object, (name, backend, description)| {
            object.json_under(name, &route(backend, description))
        });
        let object = Object::new().json("intents", &intents.finish()).bool("custom_allowed", true);
        object.text("description", "Any intent string is accepted").finish()
    }

    /// How the hub is.
    pub(crate) fn status_json(&self) -> String {
        let totals = self.totals;
        let active = totals.opened - totals.closed;
        let channels = Object::new().number("active", active).number("total_opened", totals.opened);
        let channels = channels.number("total_closed", totals.closed).finish();
        let transport = match self.config.transport {
            Transport::Tls13 => "TLS 1.3",
            Transport::Plain => "none",
        };
        let security = Object::new().text("transport", transport).text("isolation", "channel-segmented");
        let security = security.text("signing", "HMAC-SHA256 per frame, between hub and client").finish();
        let object = Object::new().text("status", "operational").text("version", "1.0.0");
        let object = object.text("agent", &self.config.agent).json("channels", &channels);
        let object = object.number("messages_routed", totals.frames).number("bytes_transferred", totals.bytes);
        let object = object.number("known_intents", self.intents.len() as u64);
        let object = object.text("uptime_since", &time(self.started)).json("security", &security);
        let object = object.number("delivered", totals.delivered).number("queued", totals.queued);
        object.number("expired", totals.expired).number("throttled", totals.throttled).finish()
    }
}

fn route(backend: &str, description: &str) -> String {
    Object::new().text("backend", backend).text("description", description).finish()
}

fn times_and_counts(object: Object, channel: &Channel) -> String {
    let object = object.text("opened_at", &time(channel.opened)).text("last_activity", &time(channel.last_activity));
    object.number("frames_sent", channel.out.frames).number("bytes_transferred", channel.bytes).finish()
}

const fn state(channel: &Channel) -> &'static str {
    if channel.is_open() { "open" } else { "closed" }
}

fn recent_json(channel: &Channel, frame: &Recent) -> String {
    let object = Object::new().number("seq", frame.seq);
    let object = match &frame.body {
        Ok(body) => object.json("payload", body),
        Err(length) => object.json("payload", "null").number("payload_bytes", *length as u64),
    };
    let object = object.text("timestamp", &time(frame.time)).hex("tbz_hash", &frame.tag);
    let object = object.text("intent", &channel.intent).text("channel_id", &channel.id.to_string());
    if frame.back { object.text("from", &channel.target_name).finish() } else { object.finish() }
}

/// A text in JSON: hex digits.
fn hex(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    put_hex(&mut out, bytes);
    out.push('"');
    out
}

/// A time as Python's `isoformat` writes it.
fn time(wall: Wall) -> String {
    iso::format(wall, &mut [0; iso::FORMAT_LEN]).into()
}
