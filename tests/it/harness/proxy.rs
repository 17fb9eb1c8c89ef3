//! A wire to a server that can go dead in one direction: what the client sends is swallowed, and the connection stays.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

pub struct Proxy {
    port: u16,
    swallows: Arc<AtomicBool>,
    swallowed: Arc<Mutex<Vec<u8>>>,
}

impl Proxy {
    /// In front of a server on this machine.
    pub fn start(server: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Proxy { port: listener.local_addr().unwrap().port(), swallows: Arc::default(), swallowed: Arc::default() };
        let (swallows, swallowed) = (Arc::clone(&proxy.swallows), Arc::clone(&proxy.swallowed));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.unwrap();
                // A server that is gone: the client's connection ends, too.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let dead = Arc::clone(&swallows);
                std::thread::spawn(move || {
                    // Either side may end while bytes are on their way.
                    let _ended = std::io::copy(&mut from_server, &mut to_client);
                    // A server loses patience with who says nothing; over a dead wire the client hears nothing of it.
                    if !dead.load(Ordering::SeqCst) {
                        let _gone = to_client.shutdown(Shutdown::Both);
                    }
                });
                let (swallows, swallowed) = (Arc::clone(&swallows), Arc::clone(&swallowed));
                std::thread::spawn(move || pass_on(client, server, &swallows, &swallowed));
            }
        });
        proxy
    }

    /// From now on, or no more.
    pub fn swallow(&self, yes: bool) {
        self.swallows.store(yes, Ordering::SeqCst);
    }

    /// All that a client sent and nobody got.
    pub fn swallowed(&self) -> Vec<u8> {
        self.swallowed.lock().unwrap().clone()
    }

    pub fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }
}

fn pass_on(mut client: TcpStream, mut server: TcpStream, swallows: &AtomicBool, swallowed: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = client.read(&mut bytes) {
        if swallows.load(Ordering::SeqCst) {
            swallowed.lock().unwrap().extend(&bytes[..read]);
        } else if server.write_all(&bytes[..read]).is_err() {
            return;
        }
    }
    // A client that is gone: the server would keep the connection.
    let _gone = server.shutdown(Shutdown::Both);
}
