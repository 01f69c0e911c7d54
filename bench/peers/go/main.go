// The benchmark's work done by Apache's Go client (../../job.ts is the contract). One producer or one pull consumer, so one
// connection; bodies stay uncompressed, and nothing is sent twice. Goroutines with SendSync, as in the client's own benchmark:
// SendAsync starts a goroutine for every message besides.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

type Job struct {
	Work, NameServers, Broker, BrokerName, Topic, Group      string
	Queues, BodyBytes, InFlight, BatchSize, Warmup, Messages int
}

type Outcome struct {
	Seconds      float64 `json:"seconds"`
	CpuSeconds   float64 `json:"cpuSeconds"`
	PeakRssBytes int64   `json:"peakRssBytes"`
	Messages     int     `json:"messages"`
	Checksum     *uint32 `json:"checksum,omitempty"`
	Program      string  `json:"program"`
}

var job Job

func main() {
	rlog.SetLogLevel("error")
	check(json.Unmarshal([]byte(os.Args[len(os.Args)-1]), &job))
	var outcome Outcome
	switch job.Work {
	case "send":
		outcome = send(1)
	case "batch":
		outcome = send(job.BatchSize)
	case "pull":
		outcome = pull()
	default:
		check(fmt.Errorf("unknown work %q", job.Work))
	}
	line, err := json.Marshal(outcome)
	check(err)
	fmt.Println(string(line))
	os.Exit(0)
}

func send(batchSize int) Outcome {
	client, err := producer.NewDefaultProducer(
		producer.WithNameServer(strings.Split(job.NameServers, ";")),
		producer.WithGroupName(job.Group),
		producer.WithVIPChannel(false),
		producer.WithCompressMsgBodyOverHowmuch(1<<30),
		producer.WithSendMsgTimeout(30*time.Second),
		producer.WithRetry(0),
	)
	check(err)
	check(client.Start())
	body := []byte(strings.Repeat("0123456789abcdef", job.BodyBytes/16+1)[:job.BodyBytes])
	sendAll := func(count int) {
		var next atomic.Int64
		each(job.InFlight, func(int) {
			for {
				end := int(next.Add(int64(batchSize)))
				start := end - batchSize
				if start >= count {
					return
				}
				messages := make([]*primitive.Message, 0, batchSize)
				for i := start; i < min(end, count); i++ {
					message := primitive.NewMessage(job.Topic, body).WithTag("bench").WithKeys([]string{"k-" + strconv.Itoa(i)})
					message.WithProperty("origin", "bench")
					messages = append(messages, message)
				}
				result, err := client.SendSync(context.Background(), messages...)
				// It gives the name server 6 s, which a busy machine takes. Nothing was sent then.
				for more := 4; more > 0 && err != nil && strings.Contains(err.Error(), "route info not found"); more-- {
					result, err = client.SendSync(context.Background(), messages...)
				}
				check(err)
				if result.Status != primitive.SendOK {
					check(fmt.Errorf("sent with status %d", result.Status))
				}
			}
		})
	}
	sendAll(job.Warmup)
	return measure(func() { sendAll(job.Messages) })
}

// Assigned no queue, the consumer pulls nothing by itself in the background.
func pull() Outcome {
	if job.Messages%job.Queues != 0 {
		check(errors.New("queues must have the same number of messages"))
	}
	client, err := consumer.NewPullConsumer(
		consumer.WithNameServer(strings.Split(job.NameServers, ";")),
		consumer.WithGroupName(job.Group),
		consumer.WithVIPChannel(false),
	)
	check(err)
	check(client.Assign(job.Topic, nil))
	check(client.Start())
	pullAll := func(count int) uint32 {
		var sum atomic.Uint32
		count /= job.Queues
		each(job.Queues, func(queueId int) {
			queue := &primitive.MessageQueue{Topic: job.Topic, BrokerName: job.BrokerName, QueueId: queueId}
			for offset := 0; offset < count; {
				result, err := client.PullFrom(context.Background(), queue, int64(offset), 32)
				check(err)
				messages := result.GetMessageExts()
				if len(messages) == 0 {
					check(fmt.Errorf("queue %d ends at %d of %d", queueId, offset, count))
				}
				for _, message := range messages[:min(len(messages), count-offset)] {
					sum.Add(checksum(message))
				}
				offset += len(messages)
			}
		})
		return sum.Load()
	}
	pullAll(job.Warmup)
	var sum uint32
	outcome := measure(func() { sum = pullAll(job.Messages) })
	outcome.Checksum = &sum
	return outcome
}

// Arithmetic of uint32 is modulo 2^32.
func checksum(message *primitive.MessageExt) uint32 {
	keys := 0
	for _, key := range strings.Split(message.GetKeys(), primitive.PropertyKeySeparator) {
		keys += len(key)
	}
	return crc32.ChecksumIEEE(message.Body) +
		uint32(len(message.Body)) +
		uint32(message.QueueOffset) +
		uint32(message.CommitLogOffset) +
		uint32(len(message.GetProperty(primitive.PropertyUniqueClientMessageIdKeyIndex))) +
		uint32(keys) +
		uint32(len(message.GetTags())) +
		uint32(len(message.GetProperty("origin"))) +
		uint32(message.ReconsumeTimes) +
		uint32(message.BornTimestamp) +
		uint32(message.StoreTimestamp) +
		port(message.BornHost) +
		port(message.StoreHost) +
		uint32(message.Queue.QueueId)
}

func port(host string) uint32 {
	number, err := strconv.Atoi(host[strings.LastIndexByte(host, ':')+1:])
	check(err)
	return uint32(number)
}

// Runs count goroutines and waits for them.
func each(count int, work func(index int)) {
	var group sync.WaitGroup
	for index := range count {
		group.Add(1)
		go func() {
			defer group.Done()
			work(index)
		}()
	}
	group.Wait()
}

func measure(work func()) Outcome {
	cpu := cpuTime()
	start := time.Now()
	work()
	seconds := time.Since(start).Seconds()
	cpu = cpuTime() - cpu
	status, err := os.ReadFile("/proc/self/status")
	check(err)
	peak, err := strconv.ParseInt(string(regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)[1]), 10, 64)
	check(err)
	return Outcome{
		Seconds: seconds, CpuSeconds: cpu, PeakRssBytes: peak * 1024, Messages: job.Messages, Program: program(),
	}
}

func cpuTime() float64 {
	var usage syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func program() string {
	version := "of an unknown version"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/apache/rocketmq-client-go/v2" {
				version = module.Version
			}
		}
	}
	return fmt.Sprintf("Go client %s, %s", version, runtime.Version())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
