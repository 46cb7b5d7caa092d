//! The server puts what agents publish under the shard that the contract names.

use async_nats::jetstream::stream::{Config, SubjectTransform};
use futures::StreamExt;
use troupe_contract::ingress::{self, Target, Way};
use troupe_domain::{Name, Topic};
use troupe_testkit::NatsServer;

const SHARDS: u16 = 7;

#[tokio::test]
async fn the_server_and_the_contract_agree_on_the_shard() {
    let server = NatsServer::start().await.unwrap();
    let client = async_nats::connect(server.url()).await.unwrap();
    let context = async_nats::jetstream::new(client.clone());
    let names: Vec<Name> =
        (0..20).map(|i| Name::parse(&format!("agent_{i}-{}", i * 7)).unwrap()).collect();
    for way in Way::ALL {
        let spec = way.stream(SHARDS);
        let transform = spec.transform.unwrap();
        let stream = context
            .create_stream(Config {
                name: spec.name,
                subjects: spec.subjects,
                subject_transform: Some(SubjectTransform {
                    source: transform.source,
                    destination: transform.destination,
                }),
                ..Config::default()
            })
            .await
            .unwrap();
        let mut wanted = Vec::new();
        for (index, sender) in names.iter().enumerate() {
            let other = &names[(index + 3) % names.len()];
            let topic = vec![other.as_str(); 1 + index % 8].join(".");
            let topic = Topic::parse(&topic).unwrap();
            let (subject, target, shard) = match way {
                Way::Inbox => (
                    ingress::inbox_subject(other, sender),
                    Target::Agent(other.clone()),
                    ingress::shard_of_agent(other, SHARDS),
                ),
                Way::Topic => (
                    ingress::topic_subject(&topic, sender),
                    Target::Topic(topic.clone()),
                    ingress::shard_of_topic(&topic, sender, SHARDS),
                ),
                Way::Broadcast => (
                    ingress::broadcast_subject(sender),
                    Target::Everybody,
                    ingress::shard_of_agent(sender, SHARDS),
                ),
                Way::Intent => (
                    ingress::intent_subject(sender),
                    Target::Anybody,
                    ingress::shard_of_agent(sender, SHARDS),
                ),
            };
            context.publish(subject, "{}".into()).await.unwrap().await.unwrap();
            wanted.push((sender.clone(), target, shard));
        }
        let consumer = stream
            .create_consumer(async_nats::jetstream::consumer::pull::OrderedConfig::default())
            .await
            .unwrap();
        let stored: Vec<_> = consumer.messages().await.unwrap().take(wanted.len()).collect().await;
        for (message, (sender, target, shard)) in stored.into_iter().zip(wanted) {
            let subject = message.unwrap().subject.to_string();
            let origin = way.origin(&subject).unwrap();
            assert_eq!((origin.sender, origin.target), (sender, target), "{subject}");
            let filter = way.filter(shard);
            assert!(subject.starts_with(filter.trim_end_matches('>')), "{subject} {filter}");
        }
    }
}
