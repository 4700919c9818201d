//! As much of an API server as hands touch, for tests: objects by path, conditional writes, and lists that never change
//! for who watches.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use http::{Method, Request, Response, StatusCode};
use kube::{Client, client::Body};
use serde_json::{Value, json};

type Objects = BTreeMap<(String, String), Value>;

#[derive(Clone, Default)]
pub struct Server {
    objects: Arc<Mutex<Objects>>,
}

impl Server {
    /// Puts an object there, by the plural of its kind and its name.
    pub fn put(&self, plural: &str, mut object: Value) {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        identify(plural, &mut object);
        self.objects.lock().unwrap().insert((plural.to_owned(), name), object);
    }
    pub fn change(&self, plural: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut objects = self.objects.lock().unwrap();
        let object = objects.get_mut(&(plural.to_owned(), name.to_owned())).unwrap();
        change(object);
        renew(object);
    }
    pub fn remove(&self, plural: &str, name: &str) {
        self.objects.lock().unwrap().remove(&(plural.to_owned(), name.to_owned())).unwrap();
    }
    pub fn find(&self, plural: &str, name: &str) -> Option<Value> {
        self.objects.lock().unwrap().get(&(plural.to_owned(), name.to_owned())).cloned()
    }

    /// A client of it. With `aging`, every live read finds a newer version: what is read later is newer.
    pub fn client(&self, aging: bool) -> Client {
        let (service, mut requests) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let server = self.clone();
        tokio::spawn(async move {
            let mut watches = vec![];
            while let Some((request, send)) = requests.next_request().await {
                let query = request.uri().query().unwrap_or_default().to_owned();
                if query.contains("watch=true") {
                    watches.push(send); // nothing ever happens
                    continue;
                }
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                let body = serde_json::from_slice(&body).unwrap_or_default();
                // The caches ask for all that have a label; who reads live names its value, or the object.
                let cached = parts.uri.path().ends_with('s') && !query.contains("%3D");
                let (status, answer) = server.answer(&parts.method, parts.uri.path(), &body, aging && !cached);
                let body = Body::from(answer.to_string().into_bytes());
                send.send_response(Response::builder().status(status).body(body).unwrap());
            }
        });
        Client::new(service, "shop")
    }

    fn answer(&self, method: &Method, path: &str, body: &Value, aging: bool) -> (StatusCode, Value) {
        let mut objects = self.objects.lock().unwrap();
        let mut of_namespace = path.rsplit_once("/namespaces/shop/").unwrap().1.split('/');
        let (plural, name) = (of_namespace.next().unwrap().to_owned(), of_namespace.next());
        if aging && *method == Method::GET {
            objects.values_mut().for_each(renew);
        }
        if *method == Method::POST {
            return create(&mut objects, &plural, body);
        }
        let Some(name) = name else {
            let items: Vec<&Value> = objects.iter().filter(|((p, _), _)| *p == plural).map(|(_, o)| o).collect();
            return (StatusCode::OK, json!({"metadata": {"resourceVersion": "1"}, "items": items}));
        };
        let key = (plural, name.to_owned());
        let Some(object) = objects.get_mut(&key) else { return failure(StatusCode::NOT_FOUND, "NotFound", name) };
        let seen = |field: &str| object["metadata"][field].clone();
        match *method {
            Method::GET => {}
            Method::DELETE => {
                let only = &body["preconditions"];
                if only["uid"] != seen("uid") || only["resourceVersion"] != seen("resourceVersion") {
                    return failure(StatusCode::CONFLICT, "Conflict", name);
                }
                objects.remove(&key);
                return (StatusCode::OK, json!({"kind": "Status", "status": "Success"}));
            }
            // A status, by server-side apply.
            Method::PATCH if body.is_object() => {
                if body["metadata"]["uid"] != seen("uid")
                    || body["metadata"]["resourceVersion"] != seen("resourceVersion")
                {
                    return failure(StatusCode::CONFLICT, "Conflict", name);
                }
                object["status"] = body["status"].clone();
                renew(object);
            }
            Method::PATCH => {
                for op in body.as_array().unwrap() {
                    let (path, value) = (op["path"].as_str().unwrap(), &op["value"]);
                    if op["op"] == "test" && object.pointer(path) != Some(value) {
                        return failure(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", name);
                    }
                    if op["op"] == "add" {
                        let (parent, key) = path.rsplit_once('/').unwrap();
                        let key = key.replace("~1", "/").replace("~0", "~");
                        object.pointer_mut(parent).unwrap()[key] = value.clone();
                    }
                }
                renew(object);
            }
            _ => panic!("{method} {path}"),
        }
        (StatusCode::OK, object.clone())
    }
}

fn create(objects: &mut Objects, plural: &str, body: &Value) -> (StatusCode, Value) {
    let name = body["metadata"]["name"].as_str().unwrap();
    let key = (plural.to_owned(), name.to_owned());
    if objects.contains_key(&key) {
        return failure(StatusCode::CONFLICT, "AlreadyExists", name);
    }
    let mut object = body.clone();
    identify(plural, &mut object);
    objects.insert(key, object.clone());
    (StatusCode::CREATED, object)
}

fn identify(plural: &str, object: &mut Value) {
    object["metadata"]["uid"] = json!(format!("uid of {plural} {}", object["metadata"]["name"].as_str().unwrap()));
    object["metadata"]["resourceVersion"] = json!("1");
}

fn renew(object: &mut Value) {
    let version: u64 = object["metadata"]["resourceVersion"].as_str().unwrap().parse().unwrap();
    object["metadata"]["resourceVersion"] = json!(version.saturating_add(1).to_string());
}

fn failure(code: StatusCode, reason: &str, name: &str) -> (StatusCode, Value) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": reason,
        "reason": reason, "code": code.as_u16(), "details": {"name": name, "kind": "x"}});
    (code, status)
}
