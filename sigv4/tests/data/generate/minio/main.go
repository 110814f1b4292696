// Signs uploads in chunks as minio-go does: a JSON list on standard input, one on standard output.
//
// In:  { path, size, trailer, access_key_id, secret, session_token, region, date }
// Out: { target, headers, body (base64) }, as minio-go would put them on the wire.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"hash"
	"io"
	"log"
	"net/http"
	"os"
	"sort"
	"strconv"
	"time"

	"github.com/minio/minio-go/v7/pkg/signer"
)

type ask struct {
	Path         string            `json:"path"`
	Size         int64             `json:"size"`
	Trailer      map[string]string `json:"trailer"`
	AccessKeyID  string            `json:"access_key_id"`
	Secret       string            `json:"secret"`
	SessionToken string            `json:"session_token"`
	Region       string            `json:"region"`
	Date         time.Time         `json:"date"`
}

type answer struct {
	Target  string      `json:"target"`
	Headers [][2]string `json:"headers"`
	Body    []byte      `json:"body"`
}

// The hash minio-go asks for: one that can be closed.
type closing struct{ hash.Hash }

func (closing) Close() {}

func sign(a ask) (answer, error) {
	content := bytes.Repeat([]byte("m"), int(a.Size))
	req, err := http.NewRequest(http.MethodPut, "https://bucket.s3.example.com"+a.Path, bytes.NewReader(content))
	if err != nil {
		return answer{}, err
	}
	trailer := http.Header{}
	for name, value := range a.Trailer {
		trailer.Set(name, value)
	}
	if len(trailer) > 0 {
		req.Trailer = trailer
	}
	hasher := closing{sha256.New()}
	req = signer.StreamingSignV4(req, a.AccessKeyID, a.Secret, a.SessionToken, a.Region, a.Size, a.Date, hasher)
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return answer{}, err
	}
	headers := [][2]string{{"Host", req.URL.Host}, {"Content-Length", strconv.Itoa(len(body))}}
	for name, values := range req.Header {
		if name == "Content-Length" {
			continue
		}
		for _, value := range values {
			headers = append(headers, [2]string{name, value})
		}
	}
	sort.SliceStable(headers[2:], func(i, j int) bool { return headers[2+i][0] < headers[2+j][0] })
	return answer{req.URL.RequestURI(), headers, body}, nil
}

func main() {
	var asked []ask
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		log.Fatal(err)
	}
	made := make([]answer, len(asked))
	for i, a := range asked {
		var err error
		if made[i], err = sign(a); err != nil {
			log.Fatal(err)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(made); err != nil {
		log.Fatal(err)
	}
}
